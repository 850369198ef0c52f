"""How far an exported model agrees with the one that it was made from, as numbers and a table.

No Ray. Shapes: N clips, S samples, K classes.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.scores import score_of
from freqquest.errors import UserError
from freqquest.export.clips import LabeledWaveforms

LARGEST_DIFFERENCE = 1e-3
"""Difference of a probability, or of a level in dB, above which an export is refused."""

Clip = TypeVar("Clip")

Predict = Callable[[np.ndarray], np.ndarray]
"""Function from a waveform `[S]` to probabilities `[1, K]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One model on the clips that both are compared on."""

    ms_per_clip: float
    """Median processor time of a clip, one at a time: other programs do not count."""
    largest_difference: float | None = None
    """Largest difference from the original's outputs; None for the original."""
    equal_answers: float | None = None
    """Share of the clips with the original's answer."""
    score: float | None = None
    """Accuracy or mean average precision, where the labels are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """Result of an export; `str` makes it a table."""

    names: tuple[str, str]
    """Names of the original and of the exported model."""
    num_bytes: tuple[int, int]
    """Sizes of their files."""
    measurements: tuple[Measurement, Measurement]
    """What was measured of them."""
    clips: str
    """Clips that they were compared on."""
    unit: str
    """Unit of the largest difference."""
    score_title: str = ""
    """Name of the score."""

    def __str__(self) -> str:
        """Return a line for each model, without columns that neither has, and the clips."""
        titles = ["model", "MB", "ms a clip", f"largest difference ({self.unit})", "same answers"]
        lines = [[*titles, self.score_title]]
        for name, size, measured in zip(self.names, self.num_bytes, self.measurements, strict=True):
            lines.append([name, f"{size / 1e6:.2f}", *_cells(measured)])
        columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
        widths = [max(map(len, column)) for column in columns]
        table = [
            "  ".join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)
        ]
        return "\n".join([*table, f"on {self.clips}, one at a time; processor time"])


def _cells(measured: Measurement) -> list[str]:
    values = {
        ".1f": measured.ms_per_clip,
        ".1e": measured.largest_difference,
        ".1%": measured.equal_answers,
        ".3f": measured.score,
    }
    return ["" if value is None else format(value, form) for form, value in values.items()]


def require_agreement(report: ExportReport) -> None:
    """Refuse an export whose outputs differ from the original's.

    Raises:
        UserError: They differ by more than `LARGEST_DIFFERENCE`.
    """
    difference = report.measurements[1].largest_difference
    assert difference is not None
    if difference > LARGEST_DIFFERENCE:
        raise UserError(
            f"{report.names[1]} differs from {report.names[0]} by {difference:.1e} "
            f"({report.unit}) on {report.clips}, more than {LARGEST_DIFFERENCE:g}: nothing is "
            "written; install the versions of requirements-dev.txt, which exports are tested with"
        )


def require_numbers(report: ExportReport) -> None:
    """Refuse an export whose outputs are not all finite.

    Raises:
        UserError: Some are NaN or infinite.
    """
    if report.measurements[1].largest_difference == math.inf:
        raise UserError(
            f"{report.names[1]} gives outputs on {report.clips} that are NaN or infinite: nothing "
            "is written; export in float32"
        )


def compare_classifiers(
    original: Predict, exported: Predict, clips: LabeledWaveforms, card: ModelCard
) -> tuple[Measurement, Measurement]:
    """Return the measurements of a classifier and of the one that was made from it.

    Args:
        original: The classifier.
        exported: The exported one.
        clips: Clips to compare them on.
        card: Card of the classifier.
    """
    wanted, wanted_ms = run_each(original, clips.waveforms)
    given, given_ms = run_each(exported, clips.waveforms)
    score = score_of(card.has_several_labels)
    scores: list[float | None] = [None, None]
    if clips.labels is not None:
        scores = [score.compute(each, clips.labels) for each in (wanted, given)]
    return (
        Measurement(ms_per_clip=wanted_ms, score=scores[0]),
        Measurement(
            ms_per_clip=given_ms,
            largest_difference=largest_difference(wanted, given),
            equal_answers=float((card.predict(wanted)[0] == card.predict(given)[0]).mean()),
            score=scores[1],
        ),
    )


def largest_difference(wanted: np.ndarray, given: np.ndarray) -> float:
    """Return the largest difference of two arrays of one shape; NaN counts as infinite."""
    return float(np.nan_to_num(np.abs(wanted - given), nan=np.inf).max())


def run_each(run: Callable[[Clip], np.ndarray], clips: Sequence[Clip]) -> tuple[np.ndarray, float]:
    """Return a model's outputs for clips, one at a time, and the median time of one in ms."""
    run(clips[0])  # the first call takes longer
    outputs, times_s = [], []
    for clip in clips:
        start = time.process_time()
        outputs.append(run(clip))
        times_s.append(time.process_time() - start)
    return np.concatenate(outputs), 1_000 * float(np.median(times_s))
