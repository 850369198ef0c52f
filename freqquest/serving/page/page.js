// The page: asks the service what it listens for, then takes sounds.

import {find, inWords, megabytes, showPart} from "./page_parts.js";
import {connectRecorder} from "./recorder.js";
import {hasToken, loadModel, model} from "./service.js";
import {addSounds, work} from "./sounds.js";
import {askForToken, onTokenChange} from "./token.js";

async function connect() {
  showPart("connecting");
  try {
    await loadModel();
  } catch (error) {
    if (error.status === 401) return askForToken();
    showPart("unreachable");
    find("#unreachable p").textContent = error.message;
    return;
  }
  showModel();
  work();
}

function showModel() {
  const names = model.classes.filter(name => name !== model.background_label);
  const few = names.length > 6 ? [...names.slice(0, 5), `${names.length - 5} more`] : names;
  find("#title").textContent = document.title = `Listens for ${inWords(few)}`;
  find("#all-classes").hidden = few === names;
  find("#all-classes summary").textContent = `All ${names.length} classes`;
  find("#all-classes p").textContent = names.join(", ");
  find("#limits").textContent =
    `Audio or video of any format, up to ${megabytes(model.max_bytes)} a file`;
  find("#version").textContent = `freqquest ${model.version}`;
  find("#token-known").hidden = !hasToken();
  showPart("ways-in");
}

function connectFiles() {
  find("#files").onchange = ({target}) => {
    addSounds(target.files);
    target.value = "";  // or the same file could not be chosen again
  };
  // The whole page takes drops: browsers open a file that is dropped elsewhere in its place.
  const zone = find("#drop");
  document.ondragover = event => {
    event.preventDefault();
    zone.classList.add("over");
  };
  document.ondragleave = event => {
    if (!event.relatedTarget) zone.classList.remove("over");
  };
  document.ondrop = event => {
    event.preventDefault();
    zone.classList.remove("over");
    addSounds(event.dataTransfer.files);
  };
}

find("#address").textContent = new URL("../classify", import.meta.url);
find("#command").hidden = false;
find("#unreachable button").onclick = connect;
onTokenChange(connect);
connectFiles();
connectRecorder(recording => addSounds([recording], true));
connect();
