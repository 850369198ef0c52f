// The service's answer on a sound's card: in words, as bars, over time and as a table of events.

import {announce, breakable, clock, find, make, percent} from "./page_parts.js";
import {playButton} from "./player.js";
import {model} from "./service.js";
import {showTimeline} from "./timeline.js";

const NUM_BARS = 5;
const MOST_EVENTS_LISTED = 1000;

export function showAnswer(sound, answer) {
  const {card} = sound;
  sound.answer = answer;
  const heard = heardLabels(answer);
  const outcome = heard.map(({label, chance}) => `${label}, ${chance}`).join("; ");
  find(".work", card).hidden = true;
  find(".outcome", card).textContent = outcome;
  find(".answer", card).replaceChildren(...sentence(heard, answer.windows.length));
  find(".facts", card).textContent = facts(answer);
  showBars(card, answer.probabilities);
  showTimeline(sound);
  showTable(sound);
  find(".heard", card).hidden = false;
  if (!find("#results > li > details[open]")) find("details", card).open = true;
  announce(`${sound.file.name}: ${outcome}`);
}

/** Return the labels of the whole sound with their probabilities. */
function heardLabels({label, probabilities}) {
  const background = model.background_label;
  // The service names the most probable of the other classes, however improbable.
  const isBackground = !model.several_labels && probabilities[background] > probabilities[label];
  const labels = model.several_labels ? label.split(";") : [isBackground ? background : label];
  return labels.map(each => ({label: each, chance: percent(probabilities[each])}));
}

function sentence(heard, numWindows) {
  const kind = numWindows > 1 ? "an average probability" : "a probability";
  const words = heard.flatMap(({label, chance}) =>
    [", ", make("b", {textContent: label}), ` with ${kind} of ${chance}`]).slice(1);
  return heard[0].label === model.background_label ? ["None of these sounds: ", ...words] : words;
}

function facts({duration_s, events}) {
  const length = duration_s < 60 ? `${duration_s.toFixed(1)} s` : clock(duration_s);
  const labels = [...new Set(events.map(event => event.label))].join(", ");
  const count = `${events.length || "no"} ${events.length === 1 ? "event" : "events"}`;
  return `${length} long; ${count}${labels && ": "}${labels}`;
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
    make("span", {}, ...breakable(label)),
    make("span", {className: "bar"}, fill),
    make("span", {className: "number", textContent: percent(probability)}));
}

function showTable(sound) {
  const {card, answer: {events}} = sound;
  const rows = events.slice(0, MOST_EVENTS_LISTED).map(event => make("tr", {},
    make("td", {}, playButton(sound, event, {}, `▶ ${clock(event.start_s)}`,
      make("span", {className: "until", textContent: ` – ${clock(event.end_s)}`}))),
    make("td", {}, ...breakable(event.label)),
    make("td", {className: "number", textContent: percent(event.confidence)})));
  const more = events.length - rows.length;
  find("tbody", card).replaceChildren(...rows);
  find(".list", card).hidden = find(".downloads", card).hidden = !rows.length;
  find(".no-events", card).hidden = rows.length > 0 && !more;
  if (more > 0) find(".no-events", card).textContent = `${more} later events are in the downloads.`;
}
