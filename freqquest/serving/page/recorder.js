// Recording with the microphone.

import {clock, find} from "./page_parts.js";
import {model} from "./service.js";

const PROBLEMS = {
  NotAllowedError: "The browser may not use the microphone: allow it in the browser's settings.",
  NotFoundError: "No microphone was found: connect one, and press Record again.",
};
const LARGEST_SHARE = 0.95;  // of the service's limit, at which a recording ends by itself

let recorder = null;

/** Call a function with each recording, as a file. */
export function connectRecorder(onRecording) {
  const isPossible = navigator.mediaDevices && window.MediaRecorder;
  find("#record").disabled = !isPossible;
  if (!isPossible) find("#microphone").textContent = window.isSecureContext
    ? "This browser cannot record."
    : `Recording needs HTTPS or localhost: browsers lend no microphone to ${location.origin}.`;
  find("#record").onclick = () => recorder ? stop() : start(onRecording);
}

const stop = () => { if (recorder.state === "recording") recorder.stop(); };

async function start(onRecording) {
  const button = find("#record"), hadFocus = document.activeElement === button;
  find("#microphone").textContent = "";
  button.disabled = true;  // the browser may be asking the user
  try {
    // Filters for telephone calls remove what is not speech.
    const audio = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
    record(await navigator.mediaDevices.getUserMedia({audio}), onRecording);
  } catch (error) {
    find("#microphone").textContent =
      PROBLEMS[error.name] ?? `The microphone cannot be used: ${error.message}`;
  }
  button.disabled = false;
  if (hadFocus) button.focus();  // which a disabled button loses
}

function record(stream, onRecording) {
  recorder = new MediaRecorder(stream);
  const parts = [], started = new Date(), hideMeter = showMeter(stream, started);
  let size = 0;
  recorder.ondataavailable = ({data}) => {
    parts.push(data);
    size += data.size;
    if (size > LARGEST_SHARE * model?.max_bytes) stop();
  };
  recorder.onstop = () => {
    for (const track of stream.getTracks()) track.stop();
    hideMeter();
    onRecording(asFile(parts, recorder.mimeType, started));
    recorder = null;
  };
  recorder.start(1000);
}

function asFile(parts, type, started) {
  const ending = type.match(/\/(\w+)/)?.[1] ?? "webm";
  const time = started.toTimeString().slice(0, 8).replaceAll(":", "-");
  return new File(parts, `recording ${time}.${ending}`, {type});
}

/** Show time and level of a recording; return a function that ends it. */
function showMeter(stream, started) {
  const context = new AudioContext(), analyser = context.createAnalyser();
  analyser.fftSize = 8192;  // samples, more than pass between two looks at them
  const samples = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(stream).connect(analyser);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1e-3);
    find("#meter meter").value = 20 * Math.log10(peak);
    find("#meter span").textContent = clock((Date.now() - started) / 1000, 0);
  }, 100);
  find("#meter").hidden = false;
  find("#record").textContent = "Stop and send";
  return () => {
    clearInterval(timer);
    context.close();
    find("#meter").hidden = true;
    find("#record").textContent = "Record";
  };
}
