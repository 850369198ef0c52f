// The player of a sound, its playhead, and the buttons that play events.

import {clock, find, make, percent} from "./page_parts.js";

export function connectPlayer(sound) {
  const {file, card, player} = sound, details = find("details", card);
  details.ontoggle = () => {
    // Not before, because browsers refuse to make more than some dozen players.
    if (details.open && !player.src) player.src = URL.createObjectURL(file);
    if (!details.open) player.pause();
  };
  player.ariaLabel = `Player of ${file.name}`;
  player.onloadedmetadata = () => { if (player.duration === Infinity) findLength(player); };
  player.onerror = () => {
    player.hidden = true;
    find(".unplayable", card).hidden = false;
    for (const button of card.querySelectorAll(".event, td button")) button.disabled = true;
  };
  player.onplay = () => {
    for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
    follow(sound);
  };
  player.onseeked = player.ontimeupdate = () => follow(sound);
}

/** Let the browser find the length of a WebM that was recorded without: a jump to its end does. */
function findLength(player) {
  player.addEventListener("durationchange", () => { player.currentTime = 0; }, {once: true});
  player.currentTime = Number.MAX_SAFE_INTEGER;
}

export function playButton(sound, event, properties, ...children) {
  const {hidden: disabled} = sound.player;
  const button = make("button", {type: "button", disabled, ...properties}, ...children);
  button.ariaLabel = `Play ${event.label}, ${clock(event.start_s)} to ${clock(event.end_s)}, `
    + `confidence ${percent(event.confidence)}`;
  button.onclick = () => {
    seek(sound, event.start_s);
    sound.stopAt = event.end_s;
    sound.player.play().catch(() => {});  // another click interrupts it
  };
  return button;
}

export function seek(sound, time) {
  sound.stopAt = Infinity;
  sound.player.currentTime = time;
}

/** Move the playhead to where the player is, again and again as long as it plays. */
function follow(sound) {
  const {player, answer, card} = sound;
  if (!answer) return;
  cancelAnimationFrame(sound.frame);
  if (player.currentTime >= sound.stopAt) {
    sound.stopAt = Infinity;
    player.pause();
  }
  const place = Math.min(1, player.currentTime / answer.duration_s);
  find(".playhead", card).hidden = false;
  find(".playhead", card).style.left = `${100 * place}%`;
  if (player.paused) return;
  keepInView(find(".scroller", card), place);
  sound.frame = requestAnimationFrame(() => follow(sound));
}

function keepInView(scroller, place) {
  const left = place * scroller.scrollWidth - scroller.scrollLeft;
  if (left < 0 || left > scroller.clientWidth)
    scroller.scrollLeft += left - scroller.clientWidth / 10;
}
