"""Clips in the report: held-out ones by true and predicted class, and generated ones. No Ray.

Shapes: N clips, K classes.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqquest.runs import layout
from freqquest.runs.clip_files import read_clips
from freqquest.runs.predictions import Predictions, read_predictions
from freqquest.runs.tables import name_damaged
from freqquest.storage import Location

_MAX_CLASSES = 100
"""Classes in the confusion matrix; with more, a browser becomes slow."""

_NUM_BARS = 3
"""Most probable classes that a clip is shown with, beside its true ones."""

LINK = re.compile(rf"{layout.REPORT_FILES_DIR}/(validation|generated|nearest)_\d+\.(mp3|webp)")
"""Link to a sound or a picture of a clip."""

Files = dict[str, bytes]
"""Sounds and pictures by the links that the page has to them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutClips:
    """Held-out clips, as the page shows them."""

    classes: tuple[str, ...]
    has_several_labels: bool
    num_clips: int
    num_mistakes: int
    mistakes: list[dict[str, Any]]
    """Clips with a wrong answer that are shown, the most confident first."""
    right: list[dict[str, Any]]
    """Others that are shown, the least confident first."""
    matrix_classes: list[int]
    """Classes in the confusion matrix; none if clips have several labels."""
    counts: list[list[int]]
    """Clips by true class, then by predicted class, of all classes; none without the matrix."""
    missed: list[int]
    """Clips of each class whose answer lacks it."""
    false: list[int]
    """Clips of other classes whose answer has it."""


def held_out_clips(run: Location, has_several_labels: bool, files: Files) -> HeldOutClips | None:
    """Return the held-out clips of a run; None if an older version made it.

    Args:
        run: The run folder.
        has_several_labels: Whether a clip may have several.
        files: Sounds and pictures are added to it.
    """
    predictions = read_predictions(run, has_several_labels)
    if predictions is None:
        return None
    wrong, values = predictions.are_wrong, _Values(predictions)
    rows = read_clips(run / layout.VALIDATION_CLIPS_NAME)
    with name_damaged(run / layout.PREDICTIONS_NAME):
        if any(row["row"] >= len(predictions) for row in rows):
            raise ValueError("it lacks rows")
    shown = [
        values.of_clip(row["row"]) | _links(row, f"validation_{row['row']}", files) for row in rows
    ]
    counts = np.zeros((0, 0), int)
    if not has_several_labels:
        counts = (predictions.labels.T.astype(float) @ predictions.answers).astype(int)
    return HeldOutClips(
        classes=predictions.classes,
        has_several_labels=has_several_labels,
        num_clips=len(wrong),
        num_mistakes=int(wrong.sum()),
        mistakes=[clip for clip in shown if wrong[clip["number"]]],
        right=[clip for clip in shown if not wrong[clip["number"]]],
        matrix_classes=_most_confused(counts),
        counts=counts.tolist(),
        missed=(predictions.labels & ~predictions.answers).sum(axis=0).tolist(),
        false=(predictions.answers & ~predictions.labels).sum(axis=0).tolist(),
    )


def generated_pairs(run: Location, files: Files) -> list[dict[str, Any]]:
    """Return generated clips and the real training clip nearest to each.

    Args:
        run: The run folder; older ones have none.
        files: Sounds and pictures are added to it.
    """
    pairs = read_clips(run / layout.NEAREST_CLIPS_NAME)
    start = _shared_start([pair["nearest"]["path"] for pair in pairs])
    for number, pair in enumerate(pairs):
        nearest = pair["nearest"]
        nearest["path"] = nearest["path"][start:]
        nearest |= _links(nearest, f"nearest_{number}", files)
        pair |= _links(pair, f"generated_{number}", files)
    return pairs


class _Values:
    """The template's values for single clips."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions, self._confidences = predictions, predictions.confidences
        self._start = _shared_start(predictions.places["path"])

    def of_clip(self, number: int) -> dict[str, Any]:
        """Return the values of the clip in a row of the table."""
        predictions = self._predictions
        labels, answers = predictions.labels[number], predictions.answers[number]
        probabilities = predictions.probabilities[number]
        place = predictions.places.iloc[number]
        by_probability = np.argsort(-probabilities, kind="stable")
        shown = [
            index for rank, index in enumerate(by_probability) if rank < _NUM_BARS or labels[index]
        ]
        return {
            "number": number,
            "path": place["path"][self._start :],
            "start_s": place["start_s"],
            "recording": place["recording"],
            "true": np.flatnonzero(labels).tolist(),
            "predicted": np.flatnonzero(answers).tolist(),
            "confidence": self._confidences[number],
            "bars": [
                (predictions.classes[index], probabilities[index], labels[index]) for index in shown
            ],
        }


def _links(row: dict[str, Any], name: str, files: Files) -> dict[str, str | None]:
    """Return links to the sound and the picture of a row, None for what it lacks."""
    links: dict[str, str | None] = {"sound": None, "picture": None}
    for kind, suffix in (("sound", "mp3"), ("picture", "webp")):
        if row[kind] is not None:
            link = f"{layout.REPORT_FILES_DIR}/{name}.{suffix}"
            links[kind], files[link] = link, row[kind]
    return links


def _most_confused(counts: np.ndarray) -> list[int]:
    """Return the classes of the matrix: all or, of too many, those with the most mistakes."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return sorted(np.argsort(-mistakes, kind="stable")[:_MAX_CLASSES].tolist())


def _shared_start(paths: Iterable[str]) -> int:
    """Return the length of the folders that all paths begin with."""
    return os.path.commonprefix(list(paths)).rfind("/") + 1  # noqa: RUF071  # cut at a slash
