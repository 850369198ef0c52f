// Elements of the page, and numbers as text. Imports nothing.

export const find = (selector, root = document) => root.querySelector(selector);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show one of the parts that stand at the top of the page. */
export function showPart(shown) {
  for (const id of ["connecting", "unreachable", "token-form", "ways-in"])
    find(`#${id}`).hidden = id !== shown;
}

/** Let screen readers say something that is seen elsewhere. */
export const announce = text => { find("#announcer").textContent = text; };

/** Return a label that narrow columns break after its underscores. */
export const breakable = label =>
  label.split(/(?<=_)/).flatMap((part, index) => index ? [make("wbr"), part] : [part]);

export function percent(probability) {
  if (probability > 0 && probability < 0.01) return "<1%";
  if (probability > 0.99 && probability < 1) return ">99%";
  return `${Math.round(100 * probability)}%`;
}

/** Write a time as `m:ss.s` or `h:mm:ss.s`. */
export function clock(seconds, decimals = 1) {
  const steps = Math.round(seconds * 10 ** decimals);
  const whole = Math.floor(steps / 10 ** decimals);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const twoDigits = number => String(number).padStart(2, "0");
  const start = hours ? `${hours}:${twoDigits(minutes)}` : `${minutes}`;
  const fraction = String(steps % 10 ** decimals).padStart(decimals, "0");
  return `${start}:${twoDigits(whole % 60)}${decimals ? `.${fraction}` : ""}`;
}

export const megabytes = bytes =>
  `${(bytes / 1e6).toLocaleString("en", {maximumFractionDigits: 1})} MB`;

export const inWords = names => new Intl.ListFormat("en").format(names);
