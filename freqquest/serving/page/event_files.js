// Files of events for download. Imports nothing.

const FORMATS = {
  csv: {ending: "csv", write: csv},
  audacity: {ending: "txt", write: audacityLabels},
  json: {ending: "json", write: json},
};

export function downloadEvents({file, answer}, format) {
  if (!format) return;  // a click beside the buttons
  const {ending, write} = FORMATS[format];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(answer)]));
  link.download = `${file.name.replace(/\.[^.]+$/, "")}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);  // browsers may ask first where to
}

function csv({events}) {
  const rows = events.map(({start_s, end_s, label, confidence}) =>
    [start_s, end_s, csvCell(label), confidence]);
  return [["start_s", "end_s", "label", "confidence"], ...rows].map(row => `${row}\n`).join("");
}

/** Quote a label, with an apostrophe before what a spreadsheet would run as a formula. */
function csvCell(label) {
  const safe = /^[=+\-@\t\r]/.test(label) ? `'${label}` : label;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Audacity knows no quotes, so a label must be one line without tabs. */
function audacityLabels({events}) {
  const oneLine = label => label.trim().replaceAll(/\s+/g, " ");
  const line = ({start_s, end_s, label}) => `${start_s}\t${end_s}\t${oneLine(label)}\n`;
  return events.map(line).join("");
}

/** The whole answer, but for the picture. */
function json({spectrogram, ...answer}) {
  return JSON.stringify(answer, null, 1) + "\n";
}
