// Requests to the service, and the token that it may ask for. Imports nothing.

const TOKEN_KEY = "freqquest-token";

/** What the service told of its model; null until it did. */
export let model = null;

export const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

export const keepToken = token => sessionStorage.setItem(TOKEN_KEY, token);

export function forgetToken() {
  sessionStorage.removeItem(TOKEN_KEY);
  model = null;
}

export async function loadModel() {
  model = await ask("GET", "model");
}

/** Let the service hear a file; `onProgress` is called with the share of it that was sent. */
export const classify = (file, signal, onProgress) =>
  ask("POST", "classify?spectrogram=true", file, signal, onProgress);

/** Ask the service. An error has its message, and its status if there was an answer. */
function ask(method, path, body = null, signal = null, onProgress = null) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();  // fetch() does not tell how much was sent
    request.open(method, new URL(`../${path}`, import.meta.url));
    if (hasToken())
      request.setRequestHeader("Authorization", `Bearer ${sessionStorage.getItem(TOKEN_KEY)}`);
    request.onload = () => {
      try { resolve(read(request)); } catch (error) { reject(error); }
    };
    request.onerror = () => reject(new Error(
      "No answer from the service: it may have stopped, or the network failed."));
    request.onabort = () => reject(signal.reason);
    if (onProgress) request.upload.onprogress = event => onProgress(event.loaded / event.total);
    if (signal) signal.onabort = () => request.abort();
    request.send(body);
  });
}

function read({status, responseText}) {
  let answer = null;
  try { answer = JSON.parse(responseText); } catch { /* the page of a proxy */ }
  if (status === 200 && answer) return answer;
  const message = answer?.error?.message ?? `The service answered ${status} without a reason.`;
  throw Object.assign(new Error(message), {status});
}
