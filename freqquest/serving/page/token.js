// The form that asks for the service's token.

import {find, showPart} from "./page_parts.js";
import {forgetToken, hasToken, keepToken} from "./service.js";

export function askForToken() {
  const wasRefused = hasToken();
  forgetToken();
  showPart("token-form");
  find("#token-known").hidden = true;
  find("#token-note").className = wasRefused ? "problem" : "";
  find("#token-note").textContent = wasRefused
    ? "The service refused this token: check it, and enter it again."
    : "The service asks for a token: whoever runs it knows one.";
  find("#token").focus();
}

/** Call a function whenever a token was entered, or was forgotten. */
export function onTokenChange(connect) {
  find("#token-form").onsubmit = async event => {
    event.preventDefault();
    keepToken(find("#token").value);
    find("#token").value = "";
    await connect();
    find("#files").focus();  // the form, which had the focus, may be gone
  };
  find("#token-known button").onclick = () => {
    forgetToken();
    connect();
  };
}
