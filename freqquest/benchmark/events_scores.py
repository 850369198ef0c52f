"""Scores of the events of recordings, for different settings.

NumPy and pandas; no Ray, no Keras. Shapes: K classes.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.benchmark.events_recordings import noise_only
from freqquest.benchmark.events_training import (
    BACKGROUND,
    UNSEEN_COLOR,
    HeardRecording,
    Listening,
)
from freqquest.detection.config import DEFAULT_CONFIDENCE, DetectConfig
from freqquest.detection.events import (
    EVENT_COLUMNS,
    SEARCH_SHARE,
    EventSettings,
    find_events,
    score_segments,
)
from freqquest.detection.grid import Grid
from freqquest.detection.scores import SEGMENT_S, count_segments, score_events

_JOB = DetectConfig(model="", audio_dir="", output="")
"""The job's defaults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A way to keep background noise from being heard as a class, and settings of the job."""

    has_background: bool = False
    has_thresholds: bool = True
    """True if each class has its own threshold; otherwise all have the job's default."""
    min_level_db: float = _JOB.min_level
    min_contrast_db: float = _JOB.min_contrast
    merge_gap_s: float = _JOB.merge_gap
    search_share: float = SEARCH_SHARE

    def without_gate(self) -> "Variant":
        """Return the same variant without the gate by level."""
        return dataclasses.replace(self, min_level_db=-np.inf, min_contrast_db=-np.inf)

    def settings(self, listening: Listening) -> EventSettings:
        """Return what makes an event of what a model heard."""
        labels = [None if label == BACKGROUND else label for label in listening.classes]
        single = [DEFAULT_CONFIDENCE] * len(labels)
        return EventSettings(
            labels=labels,
            thresholds=np.array(listening.thresholds if self.has_thresholds else single),
            min_level_db=self.min_level_db,
            min_contrast_db=self.min_contrast_db,
            merge_gap_s=self.merge_gap_s,
            min_duration_s=_JOB.min_duration,
            search_share=self.search_share,
        )


COLUMNS = {
    "event_f1": "event F1",
    "onset_f1": "onset F1",
    "segment_f1": "segment F1",
    "segment_map": "segment mAP",
    "false_per_hour": "false events per hour of noise",
    "false_per_hour_unseen": f"per hour of {UNSEEN_COLOR} noise",
    "false_share": "share of the noise heard as a class",
}
"""The scores that stand in the table, and their titles."""


def score(listening: Listening, grid: Grid, variant: Variant) -> dict[str, float]:
    """Return the scores of the events that a variant finds in all recordings, by name.

    F1 is that of all events or segments, whatever their class, unless its name ends in `macro`.
    """
    recordings, settings = listening.recordings, variant.settings(listening)
    rows, segments = [], {}
    for each in recordings:
        rows += find_events(each.name, each.duration_s, each.heard, grid, settings)
        count = count_segments(each.duration_s)
        segments[each.name] = score_segments(each.heard, grid, settings, count, SEGMENT_S)
    events = pd.DataFrame(rows, columns=EVENT_COLUMNS)
    of_all = score_events(
        events,
        pd.concat([each.references for each in recordings], ignore_index=True),
        {each.name: each.duration_s for each in recordings},
        [label for label in settings.labels if label is not None],
        probabilities=segments,
    )
    false_per_hour, false_share = false_events(events, recordings)
    unseen = [each for each in recordings if each.color == UNSEEN_COLOR]
    return {
        "event_f1": of_all["event_based"]["micro"]["f1"] or 0.0,
        "event_precision": of_all["event_based"]["micro"]["precision"] or 0.0,
        "event_recall": of_all["event_based"]["micro"]["recall"] or 0.0,
        "event_f1_macro": of_all["event_based"]["macro"]["f1"] or 0.0,
        "onset_f1": of_all["onset_based"]["micro"]["f1"] or 0.0,
        "segment_f1": of_all["segment_based"]["micro"]["f1"] or 0.0,
        "segment_map": of_all["segment_average_precision"]["mean"] or 0.0,
        "false_per_hour": false_per_hour,
        "false_per_hour_unseen": false_events(events, unseen)[0],
        "false_share": false_share,
    }


def false_events(events: pd.DataFrame, recordings: Sequence[HeardRecording]) -> tuple[float, float]:
    """Return the false events per hour of noise without a sound, and the share of it they cover.

    An event is false in a stretch of noise if it covers half of the stretch, or if half of the
    event is in it: one that begins too early or ends too late is not, and one through a whole
    recording is false in every stretch.
    """
    num_false, covered_s, noise_s = 0, 0.0, 0.0
    for each in recordings:
        of_recording = events[events["path"] == each.name]
        starts, ends = of_recording["start_s"].to_numpy(), of_recording["end_s"].to_numpy()
        stretches = noise_only(each.references, {each.name: each.duration_s})
        for start_s, end_s in zip(stretches["start_s"], stretches["end_s"], strict=True):
            first, last = np.maximum(starts, start_s), np.minimum(ends, end_s)
            shorter = np.minimum(ends - starts, end_s - start_s)
            num_false += int((last - first >= shorter / 2).sum())
            covered_s += _covered(first[first < last], last[first < last])
            noise_s += end_s - start_s
    if not noise_s:
        return 0.0, 0.0
    return num_false / noise_s * 3600, covered_s / noise_s


def _covered(starts: np.ndarray, ends: np.ndarray) -> float:
    """Return the length that intervals cover together."""
    covered_s, until = 0.0, -np.inf
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        covered_s += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered_s
