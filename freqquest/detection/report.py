"""The report of detected events: one HTML page, where each event can be heard.

pandas and Jinja; no Ray. Shapes: M mel bands, T frames.
"""

import base64
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from freqquest import plots
from freqquest.detection.frames import MAX_COLUMNS
from freqquest.runs.page import render_page
from freqquest.storage import Location

_PIXELS_PER_S = 16
"""Width of shorter pictures; those narrower than the page are stretched to it."""

MAX_EVENTS = 1_000
"""Events of a recording that the page shows: those of the highest confidence."""

_PLAYABLE = (
    *(".wav", ".wave", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".mp4"),
    *(".webm", ".adts", ".mpga"),
)
"""Endings of the files that common browsers play."""

_COLORS = (
    *("#5ad1ff", "#a5e65a", "#ffd84d", "#ff8fb8", "#c9a8ff", "#59e0c0", "#ffa366", "#ffffff"),
)
"""Colors of labels, readable on the dark colors of a spectrogram."""

_TICK_STEPS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400),
)
_NUM_TICKS = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordingView:
    """A recording as the report shows it."""

    path: str
    """Path relative to the audio folder."""

    audio: Location | None
    """The audio file, for the player; None if it has none."""

    duration_s: float
    """Length in seconds."""

    spectrogram: np.ndarray
    """Levels `[M, T]` over the whole length, low bands first, on any scale that is linear in dB."""

    events: pd.DataFrame
    """Detected events with the columns start_s, end_s, label and confidence."""


def write_report(views: Iterable[RecordingView], page: Location, scores: str = "") -> None:
    """Write the page of detected events.

    It needs no other file but the recordings, which its players find by relative paths, and asks no
    server for anything. The picture of a recording adds up to 0.5 MB to the page.

    Args:
        views: The recordings, in the order in which they are shown.
        page: The HTML file.
        scores: Table of scores, if the events were compared with annotations.
    """
    sections = [_section(view, page) for view in views]
    labels = {row["label"] for section in sections for row in section["rows"]}
    text = render_page(
        "freqquest.detection",
        "report_template.html",
        recordings=sections,
        colors=_colors(labels),
        num_events=sum(section["num_events"] for section in sections),
        length=clock(sum(section["duration_s"] for section in sections), decimals=0),
        scores=scores,
    )
    page.write_text(text)


def picture(view: RecordingView) -> bytes:
    """Return a PNG file with the recording's spectrogram, and its events in one row per label."""
    boxes = {
        str(label): list(zip(rows["start_s"], rows["end_s"] - rows["start_s"], strict=True))
        for label, rows in view.events.groupby("label")
    }
    return plots.png(
        plots.spectrogram_with_events(
            view.spectrogram,
            f"{view.path}: {len(view.events):,} events",
            view.duration_s,
            boxes,
            _colors(boxes),
        )
    )


def clock(seconds: float, decimals: int = 1) -> str:
    """Return a time as `m:ss.s` or `h:mm:ss.s`."""
    whole, fraction = divmod(round(seconds * 10**decimals), 10**decimals)
    hours, minutes = whole // 3600, whole // 60 % 60
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{whole % 60:02}" + (f".{fraction:0{decimals}}" if decimals else "")


def _section(view: RecordingView, page: Location) -> dict[str, Any]:
    """Return the template's values for one recording."""
    by_confidence = view.events.sort_values("confidence", ascending=False, kind="stable")
    shown = by_confidence.head(MAX_EVENTS).sort_values(["start_s", "end_s", "label"])
    events = [
        _event(number, event, view.duration_s)
        for number, event in enumerate(shown.itertuples(index=False))
    ]
    counts = view.events["label"].value_counts().sort_index()
    rows = [
        {
            "label": label,
            "count": count,
            "top": 100 * index / len(counts),
            "height": 100 / len(counts),
            "events": [event for event in events if event["label"] == label],
        }
        for index, (label, count) in enumerate(counts.items())
    ]
    link, why_silent = _player(view.audio, page)
    image = plots.png(plots.spectrogram_image(view.spectrogram))
    return {
        "path": view.path,
        "duration_s": view.duration_s,
        "length": clock(view.duration_s),
        "num_events": len(view.events),
        "num_hidden": len(view.events) - len(shown),
        "link": link,
        "why_silent": why_silent,
        "image": base64.b64encode(image).decode(),
        "width_px": min(MAX_COLUMNS, round(_PIXELS_PER_S * view.duration_s)),
        "ticks": _ticks(view.duration_s),
        "rows": rows,
        "events": events,
    }


def _event(number: int, event: Any, duration_s: float) -> dict[str, Any]:
    """Return the template's values for a row of events; its place in the picture is in percent."""
    left = 100 * min(event.start_s, duration_s) / duration_s
    return {
        "number": number,
        "label": event.label,
        "start_s": event.start_s,
        "start": clock(event.start_s),
        "end": clock(event.end_s),
        "confidence": event.confidence,
        "left": left,
        "width": 100 * min(event.end_s, duration_s) / duration_s - left,
    }


def _player(audio: Location | None, page: Location) -> tuple[str | None, str]:
    """Return the relative link to the audio file, or None and why the page has no player."""
    if audio is None:
        return None, "its file is not available"
    if not (audio.is_local and page.is_local):
        return None, "the recording and this page are not both on local storage"
    ending = PurePosixPath(audio.path).suffix.lower()
    if ending not in _PLAYABLE:
        return None, f"browsers do not play {ending or 'such'} files"
    return quote(os.path.relpath(audio.path, page.parent.path)), ""


def _colors(labels: Iterable[str]) -> dict[str, str]:
    """Return the color of each label; with many labels, several share one."""
    return dict(zip(sorted(labels), itertools.cycle(_COLORS)))


def _ticks(duration_s: float) -> list[dict[str, Any]]:
    """Return the ticks of the time axis: their texts and places in percent."""
    step_s = next((s for s in _TICK_STEPS_S if duration_s / s <= _NUM_TICKS), _TICK_STEPS_S[-1])
    decimals = 1 if step_s < 1 else 0
    return [
        {"text": clock(number * step_s, decimals), "left": 100 * number * step_s / duration_s}
        for number in range(int(duration_s / step_s + 1e-9) + 1)
    ]
