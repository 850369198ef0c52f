// The sounds on the page: each has a card, and they wait for the service one after another.

import {showAnswer} from "./answer.js";
import {downloadEvents} from "./event_files.js";
import {announce, clock, find, megabytes, percent} from "./page_parts.js";
import {connectPlayer} from "./player.js";
import {classify, model} from "./service.js";
import {askForToken} from "./token.js";

const waiting = [];
let isWorking = false;

export function addSounds(files, areRecordings = false) {
  if (!files.length) return;  // a text was dropped
  for (const open of document.querySelectorAll("#results > li > details")) open.open = false;
  const sounds = [...files].map(file => newSound(file, areRecordings));
  find("#results").prepend(...sounds.map(sound => sound.card));
  waiting.push(...sounds);
  work();
}

/** Send all sounds that wait, unless the service has not told of its model yet. */
export async function work() {
  if (isWorking) return;
  isWorking = true;
  while (model && waiting.length) await hear(waiting.shift());
  isWorking = false;
}

function newSound(file, isRecording) {
  const card = find("#sound").content.cloneNode(true).firstElementChild;
  const sound = {file, card, player: find("audio", card), answer: null, canceling: null};
  find(".name", card).textContent = file.name;
  find(".work button", card).onclick = () => cancel(sound);
  find(".failure button", card).onclick = () => {
    wait(sound);
    waiting.push(sound);
    work();
  };
  find(".downloads", card).onclick = ({target}) => downloadEvents(sound, target.dataset.format);
  connectPlayer(sound);
  if (isRecording) offerToSave(sound);
  wait(sound);
  return sound;
}

function offerToSave({file, card}) {
  find(".save", card).hidden = false;
  Object.assign(find(".save a", card), {href: URL.createObjectURL(file), download: file.name});
}

function wait(sound) {
  find(".failure", sound.card).hidden = true;
  find(".work", sound.card).hidden = false;
  showState(sound, "waiting", 0);
}

/** Show what happens to a sound; without a value, the bar shows that its end is not known. */
function showState({card}, text, value) {
  const bar = find("progress", card);
  find(".outcome", card).textContent = text;
  bar.ariaLabel = text;
  if (value === undefined) bar.removeAttribute("value");
  else bar.value = value;
}

function cancel(sound) {
  const place = waiting.indexOf(sound);
  if (place < 0) return sound.canceling.abort(new Error("Canceled."));
  waiting.splice(place, 1);
  showFailure(sound, "Canceled.");
}

async function hear(sound) {
  const clockwork = showProgress(sound);
  sound.canceling = new AbortController();
  try {
    await checkFile(sound.file);
    sound.canceling.signal.throwIfAborted();
    announce(`Sending ${sound.file.name}`);
    showAnswer(sound, await classify(sound.file, sound.canceling.signal, clockwork.onProgress));
  } catch (error) {
    if (error.status !== 401) return showFailure(sound, error.message);
    waiting.unshift(sound);
    wait(sound);
    askForToken();
  } finally {
    clockwork.stop();
  }
}

/** Show how much of a sound was sent, then for how long the service has been listening. */
function showProgress(sound) {
  let timer = 0;
  const stop = () => clearInterval(timer);
  const onProgress = share => {
    if (share < 1) return showState(sound, `sending, ${percent(share)}`, share);
    const sent = Date.now();
    const tick = () => showState(sound, `listening, ${clock((Date.now() - sent) / 1000, 0)}`);
    stop();
    timer = setInterval(tick, 1000);
    tick();
  };
  return {onProgress, stop};
}

async function checkFile(file) {
  if (file.size > model.max_bytes) throw new Error(
    `The file has ${megabytes(file.size)}, but the service takes up to `
    + `${megabytes(model.max_bytes)}: send a part of it, or a compressed format such as MP3.`);
  // A folder looks like a file until it is read.
  await file.slice(0, 1).arrayBuffer().catch(() => { throw new Error(
    "The browser cannot read it: it is a folder, or was moved or changed. Choose the file again.");
  });
}

function showFailure({card}, message) {
  const hadFocus = card.contains(document.activeElement);
  find(".work", card).hidden = true;
  find(".failure", card).hidden = false;
  find(".failure p", card).textContent = message;
  find(".outcome", card).textContent = "";
  if (hadFocus) find(".failure button", card).focus();
}
