"""Files of events: one of all recordings, or one a recording, in the formats of other programs.

pandas only.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import pandas as pd

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.detection.config import EventFormat
from freqquest.detection.events import EVENT_COLUMNS
from freqquest.runs.tables import write_csv
from freqquest.storage import Location

_ENDINGS: Mapping[EventFormat, str] = {
    "csv": ".csv",
    "json": ".json",
    "audacity": ".txt",
    "raven": ".Table.1.selections.txt",
}
"""Endings of the files of single recordings; Raven looks for its own."""


def write_events(
    events: pd.DataFrame,
    durations_s: Mapping[str, float],
    output: Location,
    kind: EventFormat,
    frequencies_hz: tuple[float, float],
    *,
    is_folder: bool,
) -> None:
    """Write the events of all recordings.

    Args:
        events: Table with EVENT_COLUMNS.
        durations_s: Length of each recording, by its path; those without events are written too.
        output: File or folder.
        kind: Format.
        frequencies_hz: Range that the model hears, which Raven's selections show.
        is_folder: Write a file for each recording into a folder.
    """
    events = events.round({"start_s": 3, "end_s": 3, "confidence": 4})
    if not is_folder:
        _write_file(events, durations_s, output, kind, frequencies_hz)
        return
    of_recordings = dict(list(events.groupby("path")))
    none = pd.DataFrame(columns=EVENT_COLUMNS)
    for path, name in file_names(durations_s, _ENDINGS[kind]).items():
        length = {path: durations_s[path]}
        own = of_recordings.get(path, none)
        _write_file(own, length, output / name, kind, frequencies_hz)


def file_names(paths: Iterable[str], ending: str) -> dict[str, str]:
    """Return the name of each recording's file, by its path.

    The recording's own ending is left out, unless two recordings differ only in theirs.
    """
    stems = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
    counts = Counter(stems.values())
    return {
        path: (path if counts[stem] > 1 or stem in stems else stem) + ending
        for path, stem in stems.items()
    }


def _write_file(
    events: pd.DataFrame,
    durations_s: Mapping[str, float],
    file: Location,
    kind: EventFormat,
    frequencies_hz: tuple[float, float],
) -> None:
    if kind == "csv":
        write_csv(events, file)
    elif kind == "json":
        file.write_text(_json(events, durations_s))
    elif kind == "audacity":
        columns = ["start_s", "end_s", "label"]
        file.write_text(_tab_separated(_one_line(events)[columns], header=False))
    else:
        file.write_text(_tab_separated(_raven_table(_one_line(events), frequencies_hz)))


def _json(events: pd.DataFrame, durations_s: Mapping[str, float]) -> str:
    by_path = dict(list(events.groupby("path")))
    recordings = [
        {
            "path": path,
            "duration_s": round(duration_s, 3),
            "events": []
            if path not in by_path
            else by_path[path][EVENT_COLUMNS[1:]].to_dict(orient="records"),
        }
        for path, duration_s in durations_s.items()
    ]
    return json.dumps({"recordings": recordings}, indent=1, ensure_ascii=False) + "\n"


def _raven_table(events: pd.DataFrame, frequencies_hz: tuple[float, float]) -> pd.DataFrame:
    """Return a selection table, with the columns that Raven needs and two of annotations."""
    low_hz, high_hz = frequencies_hz
    return pd.DataFrame(
        {
            "Selection": range(1, len(events) + 1),
            "View": "Spectrogram 1",
            "Channel": 1,
            "Begin Time (s)": events["start_s"],
            "End Time (s)": events["end_s"],
            "Low Freq (Hz)": low_hz,
            "High Freq (Hz)": high_hz,
            "Annotation": events["label"],
            "Confidence": events["confidence"],
        }
    )


def _one_line(events: pd.DataFrame) -> pd.DataFrame:
    """Return events whose labels hold no tabs and no line breaks."""
    return events.assign(label=events["label"].map(lambda label: " ".join(label.split())))


def _tab_separated(table: pd.DataFrame, *, header: bool = True) -> str:
    # Neither program knows quotation marks around cells; labels hold no tabs.
    return table.to_csv(
        sep="\t", index=False, header=header, lineterminator="\n", quoting=csv.QUOTE_NONE
    )


def frequency_range(view: SpectrogramConfig, sample_rate_hz: int) -> tuple[float, float]:
    """Return the lowest and the highest frequency of a view, in Hz."""
    highest = view.max_frequency_hz
    return view.min_frequency_hz, sample_rate_hz / 2 if highest is None else highest
