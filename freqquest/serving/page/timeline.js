// The spectrogram of a sound and what was heard in it, over one time axis.

import {clock, find, make, percent} from "./page_parts.js";
import {playButton, seek} from "./player.js";
import {model} from "./service.js";

const SHADE = "#3d82cc";  // seen on white and on black pages
const SHOWN_FROM = 0.1;   // classes that stay below in every window get no row
const PIXELS_PER_S = 16;
const WIDEST_PX = 16384;  // browsers do not draw much wider pictures
const SHADES_PX = 4096;
const FAINTEST = 0.06;    // opacity at 0%: where nothing is drawn, there was no window
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
const TICKS_HZ = [500, 1000, 2000, 4000, 8000, 16000, 32000, 64000];

export function showTimeline(sound) {
  const {card, file, answer} = sound;
  const track = find(".track", card), image = find("img", card);
  track.style.width = `${Math.min(WIDEST_PX, PIXELS_PER_S * answer.duration_s)}px`;
  image.src = `data:image/png;base64,${answer.spectrogram.png}`;
  image.alt = `Spectrogram of ${file.name}`;
  find(".window", card).textContent = ` of ${model.window_s} s`;
  find(".frequencies", card).replaceChildren(...frequencyTicks(answer.spectrogram));
  find(".times", card).replaceChildren(...timeTicks(answer.duration_s));
  find(".lanes", card).replaceChildren(...lanes(sound));
  track.onclick = click => {
    if (click.target.closest(".event")) return;
    const {left, width} = track.getBoundingClientRect();
    seek(sound, answer.duration_s * (click.clientX - left) / width);
  };
}

/** Convert Hz to mel as freqquest.audio.spectrogram does: linear up to 1000 Hz, then by factors. */
const toMel = hz => hz < 1000 ? hz * 3 / 200 : 15 + 27 * Math.log(hz / 1000) / Math.log(6.4);

function frequencyTicks({min_frequency_hz: lowest, max_frequency_hz: highest, mel}) {
  const scale = mel ? toMel : hz => hz;
  const place = hz => 100 * (scale(hz) - scale(lowest)) / (scale(highest) - scale(lowest));
  let last = -100;
  return TICKS_HZ.filter(hz => place(hz) > 3 && place(hz) < 97).flatMap(hz => {
    if (place(hz) - last < 8) return [];
    last = place(hz);
    const tick = make("span", {textContent: hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`});
    tick.style.bottom = `${last}%`;
    return [tick];
  });
}

function timeTicks(duration_s) {
  const most = Math.max(5, Math.min(WIDEST_PX, PIXELS_PER_S * duration_s) / 60);
  const step = STEPS_S.find(seconds => duration_s / seconds <= most) ?? STEPS_S.at(-1);
  return Array.from({length: Math.floor(duration_s / step + 1e-9) + 1}, (_, number) => {
    const place = 100 * number * step / duration_s;
    const tick = make("span", {textContent: clock(number * step, step < 1 ? 1 : 0)});
    tick.style.left = `${place}%`;
    tick.classList.toggle("late", place > 90);
    return tick;
  });
}

/** Return a row for each class that was heard, the most probable first. */
function lanes(sound) {
  const {windows, events} = sound.answer;
  const withEvents = new Set(events.map(({label}) => label));
  const peaks = Object.fromEntries(model.classes.map(label => [label, 0]));
  const raise = (label, value) => { peaks[label] = Math.max(peaks[label], value); };
  for (const {probabilities} of windows)
    for (const [label, probability] of Object.entries(probabilities)) raise(label, probability);
  for (const {label, confidence} of events) raise(label, confidence);
  return Object.entries(peaks)
    .filter(([label, peak]) => peak >= SHOWN_FROM || withEvents.has(label))
    .sort(([, one], [, other]) => other - one)
    .map(([label, peak]) => lane(sound, label, `${label}, up to ${percent(peak)}`));
}

function lane(sound, label, name) {
  const {answer} = sound;
  const events = answer.events.filter(event => event.label === label);
  return make("div", {role: "group", ariaLabel: name},
    make("span", {className: "lane-name", textContent: name}),
    make("div", {className: "strip"}, shades(answer, label),
      ...events.map(event => box(sound, event))));
}

/** Draw the probabilities, at each moment those of the window whose middle is nearest. */
function shades({windows, duration_s}, label) {
  const canvas = make("canvas", {width: SHADES_PX, height: 1});
  const context = canvas.getContext("2d");
  const middle = ({start_s, end_s}) => (start_s + end_s) / 2;
  const between = (one, other) => other ? (middle(one) + middle(other)) / 2 : null;
  context.fillStyle = SHADE;
  windows.forEach((window, index) => {
    const left = Math.max(window.start_s, between(window, windows[index - 1]) ?? 0);
    const right = Math.min(window.end_s, between(window, windows[index + 1]) ?? duration_s);
    const [first, end] = [left, right].map(time => Math.round(SHADES_PX * time / duration_s));
    context.globalAlpha = FAINTEST + (1 - FAINTEST) * window.probabilities[label];
    context.fillRect(first, 0, end - first, 1);
  });
  return canvas;
}

function box(sound, event) {
  const {duration_s} = sound.answer, end_s = Math.min(event.end_s, duration_s);
  const button = playButton(sound, event, {className: "event"});
  button.title = button.ariaLabel;
  button.style.left = `${100 * event.start_s / duration_s}%`;
  button.style.width = `${100 * (end_s - event.start_s) / duration_s}%`;
  return button;
}
