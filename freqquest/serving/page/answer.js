// The service's answer on a sound's card: in words, as bars, over time and as a table of events.

import {announce, clock, find, make, percent} from "./page_parts.js";
import {playButton} from "./player.js";
import {model} from "./service.js";
import {showTimeline} from "./timeline.js";

const NUM_BARS = 5;
const MOST_EVENTS_LISTED = 1000;

export function showAnswer(sound, answer) {
  const {card} = sound;
  sound.answer = answer;
  const heard = heardLabels(answer);
  const outcome = heard.map(({label, chance}) => `${label}, ${chance}`).join("; ") || "none";
  find(".work", card).hidden = true;
  find(".outcome", card).textContent = outcome;
  find(".answer", card).replaceChildren(...sentence(heard));
  find(".facts", card).textContent = facts(answer);
  showBars(card, answer.probabilities);
  showTimeline(sound);
  showTable(sound);
  find(".heard", card).hidden = false;
  if (!find("#results > li > details[open]")) find("details", card).open = true;
  announce(`${sound.file.name}: ${outcome}`);
}

/** Return the labels of the whole sound, with their probabilities. */
function heardLabels({label, probability, probabilities}) {
  const labels = model.several_labels ? label.split(";").filter(Boolean) : [label];
  return labels.map(label => ({label, chance: percent(probabilities[label] ?? probability)}));
}

function facts({duration_s, events: {length}}) {
  const time = duration_s < 60 ? `${duration_s.toFixed(1)} s` : clock(duration_s);
  return `${time} long, ${length || "no"} ${length === 1 ? "event" : "events"}`;
}

function sentence(heard) {
  if (!heard.length) return ["None of the classes it listens for"];
  const words = heard.flatMap(({label, chance}) =>
    [", ", make("b", {textContent: label}), ` with a probability of ${chance}`]).slice(1);
  return heard[0].label === model.background_label ? ["Only background: ", ...words] : words;
}

function showBars(card, probabilities) {
  const byProbability = Object.entries(probabilities).sort((one, other) => other[1] - one[1]);
  const bars = byProbability.map(([label, probability]) => bar(label, probability));
  const [first, others] = card.querySelectorAll(".bars");
  first.replaceChildren(...bars.slice(0, NUM_BARS));
  others.replaceChildren(...bars.slice(NUM_BARS));
  find(".more", card).hidden = bars.length <= NUM_BARS;
  find(".more summary", card).textContent = `${bars.length - NUM_BARS} more`;
}

function bar(label, probability) {
  const fill = make("span");
  fill.style.width = `${100 * probability}%`;
  return make("li", {},
    make("span", {textContent: label}),
    make("span", {className: "bar"}, fill),
    make("span", {className: "number", textContent: percent(probability)}));
}

function showTable(sound) {
  const {card, answer: {events}} = sound;
  const rows = events.slice(0, MOST_EVENTS_LISTED).map(event => make("tr", {},
    make("td", {}, playButton(sound, event, {
      textContent: `▶ ${clock(event.start_s)} – ${clock(event.end_s)}`})),
    make("td", {textContent: event.label}),
    make("td", {className: "number", textContent: percent(event.confidence)})));
  const more = events.length - rows.length;
  find("tbody", card).replaceChildren(...rows);
  find(".list", card).hidden = find(".downloads", card).hidden = !rows.length;
  find(".no-events", card).hidden = rows.length > 0 && !more;
  if (more > 0) find(".no-events", card).textContent = `${more} later events are in the downloads.`;
}
