"""Abstention: the precision of a classifier on the clips that it is sure of, and a threshold.

A clip below a threshold of confidence is unknown. NumPy only. Shapes: N clips, K classes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freqquest.errors import UserError

UNKNOWN = "unknown"
"""Label of a clip without an answer."""

DEFAULT_PRECISION = 0.95
"""Share of the answers that is to be right."""

SHOWN_PRECISIONS = (0.8, 0.9, 0.95, 0.99)
"""Precisions whose coverage a run reports."""

_MAX_POINTS = 200
"""Most points of a curve, so that a model's card stays small."""

_FEWEST_CLIPS = 10
"""Fewest clips that a point of a curve is measured on: of one clip, any precision is chance."""


class Point(NamedTuple):
    """Effect of a threshold on held-out clips."""

    threshold: float
    """Confidence from which a clip gets an answer."""
    coverage: float
    """Share of all clips that get one."""
    precision: float
    """Share of the answers that is right."""


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """Precision over coverage on held-out clips, from few sure answers to all of them.

    ```python
    curve = coverage_curve(confidence, is_right, num_clips=len(clips))
    threshold = curve.threshold_for(0.95)
    ```
    """

    points: list[Point]

    def coverage_for(self, precision: float) -> float:
        """Return the largest share of clips with answers of a precision; 0 if it is not reached."""
        reached = [point.coverage for point in self.points if point.precision >= precision]
        return max(reached, default=0.0)

    def threshold_for(self, precision: float) -> float:
        """Return the threshold that answers the most clips with at least a precision.

        Args:
            precision: Share of the answers that is to be right, on clips like the held-out ones.

        Raises:
            UserError: No threshold reaches it.
        """
        reached = [point for point in self.points if point.precision >= precision]
        if reached:
            return max(reached, key=lambda point: point.coverage).threshold
        if not self.points:
            raise UserError(
                f"`precision={precision:g}` is not reached by the classifier: it answered no "
                "held-out clip, but took all of them for background; train it with more clips"
            )
        best = max(self.points, key=lambda point: (point.precision, point.coverage))
        raise UserError(
            f"`precision={precision:g}` is not reached by the classifier on held-out clips: the "
            f"highest is {best.precision:.3f}, with answers for {best.coverage:.0%} of the clips; "
            f"ask for at most {np.floor(best.precision * 1000) / 1000:g}"
        )


def held_out_curve(
    probabilities: np.ndarray, labels: np.ndarray, background_index: int | None = None
) -> CoverageCurve:
    """Return the curve of a classifier whose answer is the most probable class.

    A clip that it takes for background gets no answer, and answers for clips of the background are
    wrong.

    Args:
        probabilities: Calibrated probabilities of held-out clips, `[N, K]`.
        labels: Their true labels `[N, K]`, bool, one each.
        background_index: Class that is the background, if there is one.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_answered = predicted != (-1 if background_index is None else background_index)
    is_right = predicted == labels.argmax(axis=1)
    return coverage_curve(confidence[is_answered], is_right[is_answered], len(labels))


def coverage_curve(confidence: np.ndarray, is_right: np.ndarray, num_clips: int) -> CoverageCurve:
    """Return the precision of the most confident answers, for more and more of them.

    A threshold lies halfway between two clips, so that it holds for similar ones too.

    Args:
        confidence: Confidence of each answer, `[N]`.
        is_right: Whether it is right, `[N]`, bool.
        num_clips: Number of clips, those without an answer included.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, num_right = confidence[order], np.cumsum(is_right[order])
    below = np.append(sorted_confidence[1:], 0.0)
    # Clips of equal confidence get an answer together.
    counts = np.flatnonzero(sorted_confidence > below) + 1
    counts = counts[counts >= min(_FEWEST_CLIPS, len(order))]
    if len(counts) > _MAX_POINTS:
        counts = counts[np.linspace(0, len(counts) - 1, _MAX_POINTS).round().astype(int)]
    return CoverageCurve(
        [
            Point(
                threshold=float((sorted_confidence[count - 1] + below[count - 1]) / 2),
                coverage=float(count / num_clips),
                precision=float(num_right[count - 1] / count),
            )
            for count in counts
        ]
    )
