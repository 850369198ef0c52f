"""Scores of detected events beside annotated ones: event by event, and second by second.

pandas and scikit-learn; no Ray, no Keras. The scores are those of Mesaros, Heittola and
Virtanen, "Metrics for Polyphonic Sound Event Detection" (Applied Sciences, 2016), with the
tolerances of DCASE. Shapes: K classes, N segments of a recording.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from freqquest.detection.matching import count_pairs

COLLAR_S = 0.2
"""DCASE's tolerance of an onset, and the smallest of an offset, in seconds."""

OFFSET_SHARE = 0.2
"""DCASE's tolerance of an offset as a share of the reference's length, where it is larger."""

SEGMENT_S = 1.0
"""DCASE's length of a segment in seconds."""

_DECIMALS = 6
"""Decimals of a second that count where times are compared."""


class Counts(TypedDict):
    """Precision, recall and F1 of events or of segments, and what they are made of."""

    precision: float | None
    """Share of the detected ones that are right; None if none was detected."""
    recall: float | None
    """Share of the annotated ones that were detected; None if none was annotated."""
    f1: float | None
    """2 * num_right / (num_detected + num_annotated); None if both are zero."""
    num_right: int
    num_detected: int
    num_annotated: int


class Average(TypedDict):
    """Averages over the classes that have a reference; None if there is none."""

    precision: float | None
    """A class without any detection counts as zero."""
    recall: float | None
    f1: float | None
    num_classes: int
    """Number of classes that have a reference."""


class ClassScores(TypedDict):
    """Scores of one kind."""

    by_class: dict[str, Counts]
    micro: Counts
    """Counts over all classes, also those without a reference."""
    macro: Average


class AveragePrecisions(TypedDict):
    """Areas under the curves of precision over recall of segments, which need no threshold."""

    by_class: dict[str, float | None]
    """None for classes that no segment has."""
    mean: float | None
    """Mean over the classes that a segment has."""
    num_classes: int
    """Number of classes that a segment has."""


class DetectionScores(TypedDict):
    """Scores of detected events; may be written as JSON."""

    event_based: ClassScores
    """An event is right if its label, its onset and its offset are those of a reference."""
    onset_based: ClassScores
    """The same without the offset."""
    segment_based: ClassScores
    """A segment has a class if an event of it overlaps the segment."""
    segment_average_precision: NotRequired[AveragePrecisions]
    """Only if the probabilities of the segments were given."""
    classes_without_references: list[str]
    collar_s: float
    offset_share: float
    segment_s: float
    num_recordings: int
    duration_s: float
    """Length of all scored recordings in seconds."""


def score_events(
    events: pd.DataFrame,
    references: pd.DataFrame,
    durations_s: Mapping[str, float],
    classes: Sequence[str],
    *,
    collar_s: float = COLLAR_S,
    offset_share: float = OFFSET_SHARE,
    segment_s: float = SEGMENT_S,
    probabilities: Mapping[str, np.ndarray] | None = None,
) -> DetectionScores:
    """Score detected events.

    Events of a class are paired with its references, each with one at most, so that the number of
    pairs is as large as possible. A pair's onsets differ by at most the collar, its offsets by at
    most the collar or `offset_share` of the reference's length, whichever is larger.

    Args:
        events: Detected events with the columns path, start_s, end_s and label. Those of other
            recordings and classes do not count.
        references: Annotated events with the same columns.
        durations_s: Length in seconds of each recording that is scored, by its path.
        classes: The model's labels, K.
        collar_s: Tolerance of onsets, and the smallest of offsets, in seconds.
        offset_share: Tolerance of offsets as a share of the reference's length.
        segment_s: Length of a segment in seconds; a recording's last one may be shorter.
        probabilities: Probabilities `[N, K]` of the segments of each recording, by its path; N is
            `count_segments` of its length.
    """
    detected = _select(events, durations_s, classes)
    annotated = _select(references, durations_s, classes)
    num_right = _count_pairs(detected, annotated, collar_s, offset_share)
    num_onsets = _count_pairs(detected, annotated, collar_s, None)
    segments = _as_segments(detected, durations_s, segment_s)
    true_segments = _as_segments(annotated, durations_s, segment_s)
    scores: DetectionScores = {
        "event_based": _score(classes, detected, annotated, num_right),
        "onset_based": _score(classes, detected, annotated, num_onsets),
        "segment_based": _score(
            classes, segments, true_segments, _count_labels(segments.merge(true_segments))
        ),
        "classes_without_references": sorted(set(classes) - set(annotated["label"])),
        "collar_s": collar_s,
        "offset_share": offset_share,
        "segment_s": segment_s,
        "num_recordings": len(durations_s),
        "duration_s": float(sum(durations_s.values())),
    }
    if probabilities is not None:
        scores["segment_average_precision"] = _average_precisions(
            true_segments,
            {path: count_segments(length, segment_s) for path, length in durations_s.items()},
            classes,
            probabilities,
        )
    return scores


def count_segments(duration_s: float, segment_s: float = SEGMENT_S) -> int:
    """Return the number of segments of a recording; its last one may be shorter than the others."""
    return int(np.ceil(np.round(duration_s / segment_s, _DECIMALS)))


def _select(
    events: pd.DataFrame, paths: Mapping[str, float], classes: Sequence[str]
) -> pd.DataFrame:
    """Return the events that are scored."""
    is_scored = events["path"].isin(list(paths)) & events["label"].isin(list(classes))
    scored = events.loc[is_scored, ["label", "path", "start_s", "end_s"]]
    return scored.reset_index(drop=True).astype({"start_s": float, "end_s": float})


def _count_pairs(
    events: pd.DataFrame, references: pd.DataFrame, collar_s: float, offset_share: float | None
) -> dict[str, int]:
    """Return the number of right events of each class that has a reference."""
    detected, annotated = _group_times(events), _group_times(references)
    num_right = Counter[str]()
    for key in detected.keys() & annotated.keys():
        num_right[key[0]] += count_pairs(detected[key], annotated[key], collar_s, offset_share)
    return num_right


def _group_times(events: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return onsets and offsets `[E, 2]` by label and path."""
    groups = events.groupby(["label", "path"])[["start_s", "end_s"]]
    return {(str(label), str(path)): times.to_numpy() for (label, path), times in groups}


def _count_labels(rows: pd.DataFrame) -> dict[str, int]:
    return {str(label): int(count) for label, count in rows["label"].value_counts().items()}


def _score(
    classes: Sequence[str],
    detected: pd.DataFrame,
    annotated: pd.DataFrame,
    num_right: Mapping[str, int],
) -> ClassScores:
    """Return the counts of each class, and their averages.

    Args:
        classes: All classes.
        detected: Table with a row for each detected event or segment, and its `label`.
        annotated: The same for references.
        num_right: Number of right events or segments by class; missing classes have none.
    """
    num_detected, num_annotated = _count_labels(detected), _count_labels(annotated)
    by_class = {
        label: _counts(
            num_right.get(label, 0), num_detected.get(label, 0), num_annotated.get(label, 0)
        )
        for label in classes
    }
    known = [counts for counts in by_class.values() if counts["num_annotated"]]
    return {
        "by_class": by_class,
        "micro": _counts(sum(num_right.values()), len(detected), len(annotated)),
        "macro": {
            "precision": _mean([counts["precision"] or 0.0 for counts in known]),
            "recall": _mean([counts["recall"] or 0.0 for counts in known]),
            "f1": _mean([counts["f1"] or 0.0 for counts in known]),
            "num_classes": len(known),
        },
    }


def _counts(num_right: int, num_detected: int, num_annotated: int) -> Counts:
    num_both = num_detected + num_annotated
    return {
        "precision": num_right / num_detected if num_detected else None,
        "recall": num_right / num_annotated if num_annotated else None,
        "f1": 2 * num_right / num_both if num_both else None,
        "num_right": num_right,
        "num_detected": num_detected,
        "num_annotated": num_annotated,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _as_segments(
    events: pd.DataFrame, durations_s: Mapping[str, float], segment_s: float
) -> pd.DataFrame:
    """Return the table with one row for each class, file and `segment` that an event overlaps."""
    ends = np.minimum(events["end_s"], events["path"].map(durations_s).astype(float))
    first = np.floor((events["start_s"] / segment_s).round(_DECIMALS)).astype(int)
    last = np.ceil((ends / segment_s).round(_DECIMALS)).astype(int)
    numbers = [np.arange(*bounds) for bounds in zip(first, last, strict=True)]
    lengths = [len(each) for each in numbers]
    rows = events.loc[events.index.repeat(lengths), ["label", "path"]]
    segments = np.concatenate(numbers) if numbers else np.zeros(0, int)
    return rows.assign(segment=segments).drop_duplicates(ignore_index=True)


def _average_precisions(
    references: pd.DataFrame,
    num_segments: Mapping[str, int],
    classes: Sequence[str],
    probabilities: Mapping[str, np.ndarray],
) -> AveragePrecisions:
    """Return the average precision of each class over the segments of all recordings."""
    for path, number in num_segments.items():
        if (shape := probabilities[path].shape) != (number, len(classes)):
            raise ValueError(
                f"probabilities of {path} have the shape {shape}, but must have "
                f"{(number, len(classes))}: one row per segment and one column per class"
            )
    starts = dict(zip(num_segments, np.cumsum([0, *num_segments.values()]), strict=False))
    rows = references["path"].map(starts).to_numpy(int) + references["segment"].to_numpy(int)
    by_class: dict[str, float | None] = {}
    for index, label in enumerate(classes):
        has_class = np.zeros(sum(num_segments.values()), bool)
        has_class[rows[(references["label"] == label).to_numpy()]] = True
        if has_class.any():
            of_class = np.concatenate([probabilities[path][:, index] for path in num_segments])
            by_class[label] = float(average_precision_score(has_class, of_class))
        else:
            by_class[label] = None
    known = [value for value in by_class.values() if value is not None]
    return {"by_class": by_class, "mean": _mean(known), "num_classes": len(known)}
