"""The score of a dataset: accuracy for clips with one label each, else mean average precision.

The only module that knows how predictions are scored, calibrated and decided; the others ask
`score_of`. NumPy, SciPy and scikit-learn; no Keras, no Ray. Shapes: N clips, K classes, R bins.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    classification_report,
    precision_recall_curve,
)

from freqquest.cnn.calibration import (
    apply_temperature,
    apply_temperatures,
    as_two_classes,
    fit_temperature,
    fit_temperatures,
    geometric_mean,
    reliability_bins,
)
from freqquest.cnn.network import SMALLEST_PROBABILITY, Temperature
from freqquest.runs.metrics import SCORE_TITLES, ClassMetrics, ScoreName

Bins = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Confidence, share of right decisions, and number of decisions of each bin, `[R]`."""

_MAX_BLOCKS = 20
"""Blocks of recordings that the jackknife leaves out in turn."""

_UNKNOWN_THRESHOLD = 0.5
"""Threshold of a class that no held-out clip has, or that was not learned."""

_MOST_PREDICTED = 2
"""A threshold may give a label to this many times as many clips as have it. F1 alone would give a
class that was not learned to nearly all clips."""


class Mistake(NamedTuple):
    """A wrong decision."""

    clip: int
    """Index of the clip."""
    class_index: int
    """Class that was predicted wrongly or, if the clip has that label, missed."""


class Score(ABC):
    """A score of probabilities `[N, K]` by true labels `[N, K]`, bool; larger is better."""

    name: ClassVar[ScoreName]

    @property
    def title(self) -> str:
        """Name for sentences."""
        return SCORE_TITLES[self.name]

    @property
    def metric(self) -> str:
        """Name of the score among the metrics of an epoch."""
        return f"validation/{self.name}"

    @abstractmethod
    def compute(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        """Return the score, from 0 to 1."""

    @abstractmethod
    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        """Return the cross-entropy, as the training has it but without label smoothing."""

    @abstractmethod
    def lead(
        self,
        probabilities: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        recordings: np.ndarray,
    ) -> tuple[float, float]:
        """Return by how much probabilities score better than others, and its standard error.

        Recordings `[N]`, not clips, count as independent. Both numbers have the same unit.
        """

    @abstractmethod
    def fit_temperature(self, probabilities: np.ndarray, labels: np.ndarray) -> Temperature:
        """Return the temperature with the highest likelihood of the labels."""

    @abstractmethod
    def apply_temperature(self, probabilities: np.ndarray, temperature: Temperature) -> np.ndarray:
        """Return probabilities `[N, K]` with a temperature."""

    @abstractmethod
    def mean(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        """Return the geometric mean `[N, K]` of several classifiers' probabilities."""

    @abstractmethod
    def reliability(self, probabilities: np.ndarray, labels: np.ndarray) -> Bins:
        """Return how often decisions of each confidence are right."""

    @abstractmethod
    def by_class(
        self, probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
    ) -> dict[str, ClassMetrics]:
        """Return the metrics of each class."""

    @abstractmethod
    def mistakes(self, probabilities: np.ndarray, labels: np.ndarray) -> list[Mistake]:
        """Return the worst mistake of each clip that has one, the most confident first."""


def score_of(has_several_labels: bool) -> Score:
    """Return the score of datasets whose clips have several labels, or one each."""
    return _MeanAveragePrecision() if has_several_labels else _Accuracy()


class _Accuracy(Score):
    """The share of clips whose most probable class is the true one."""

    name = "accuracy"

    def compute(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        return float(_is_correct(probabilities, labels).mean())

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        return float(-np.log(probabilities[labels] + SMALLEST_PROBABILITY).mean())

    def lead(
        self,
        probabilities: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        recordings: np.ndarray,
    ) -> tuple[float, float]:
        of_clips = _is_correct(probabilities, labels).astype(float) - _is_correct(others, labels)
        return float(of_clips.sum()), standard_error(of_clips, recordings)

    def fit_temperature(self, probabilities: np.ndarray, labels: np.ndarray) -> Temperature:
        return fit_temperature(probabilities, labels.argmax(axis=1))

    def apply_temperature(self, probabilities: np.ndarray, temperature: Temperature) -> np.ndarray:
        assert isinstance(temperature, float)
        return apply_temperature(probabilities, temperature)

    def mean(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        return geometric_mean(probabilities)

    def reliability(self, probabilities: np.ndarray, labels: np.ndarray) -> Bins:
        return reliability_bins(probabilities, labels.argmax(axis=1))

    def by_class(
        self, probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
    ) -> dict[str, ClassMetrics]:
        report = classification_report(
            labels.argmax(axis=1),
            probabilities.argmax(axis=1),
            labels=range(len(classes)),
            target_names=classes,
            output_dict=True,
            zero_division=0.0,
        )
        return {label: report[label] for label in classes}

    def mistakes(self, probabilities: np.ndarray, labels: np.ndarray) -> list[Mistake]:
        wrong = np.flatnonzero(~_is_correct(probabilities, labels))
        order = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
        predicted = probabilities.argmax(axis=1)
        return [Mistake(int(clip), int(predicted[clip])) for clip in order]


class _MeanAveragePrecision(Score):
    """The area under each class's curve of precision over recall, averaged over the classes.

    It needs no thresholds, and rare classes count as much as others. Classes that no clip has do
    not count.
    """

    name = "mean_average_precision"

    def compute(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        precisions = _average_precisions(probabilities, labels)
        known = precisions[~np.isnan(precisions)]
        return float(known.mean()) if len(known) else 0.0

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        of_truth = np.where(labels, probabilities, 1 - probabilities)
        return float(-np.log(of_truth + SMALLEST_PROBABILITY).mean())

    def lead(
        self,
        probabilities: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        recordings: np.ndarray,
    ) -> tuple[float, float]:
        """Compare by the jackknife, as the score is no sum over clips (Efron and Stein, 1981)."""

        def lead_of(rows: np.ndarray) -> float:
            truth = labels[rows]
            return self.compute(probabilities[rows], truth) - self.compute(others[rows], truth)

        _, numbers = np.unique(recordings, return_inverse=True)
        blocks = numbers % _MAX_BLOCKS
        leads = [lead_of(blocks != block) for block in np.unique(blocks)]
        # A single recording proves nothing.
        error = np.sqrt((len(leads) - 1) * np.var(leads)) if len(leads) > 1 else np.inf
        return lead_of(np.ones(len(labels), bool)), float(error)

    def fit_temperature(self, probabilities: np.ndarray, labels: np.ndarray) -> Temperature:
        return fit_temperatures(probabilities, labels)

    def apply_temperature(self, probabilities: np.ndarray, temperature: Temperature) -> np.ndarray:
        assert isinstance(temperature, list)
        return apply_temperatures(probabilities, temperature)

    def mean(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        return geometric_mean([as_two_classes(each) for each in probabilities])[..., 1]

    def reliability(self, probabilities: np.ndarray, labels: np.ndarray) -> Bins:
        return reliability_bins(as_two_classes(probabilities.ravel()), labels.ravel().astype(int))

    def by_class(
        self, probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
    ) -> dict[str, ClassMetrics]:
        precisions = _average_precisions(probabilities, labels)
        metrics: dict[str, ClassMetrics] = {}
        for index, label in enumerate(classes):
            is_true, of_class = labels[:, index], probabilities[:, index]
            threshold = best_threshold(of_class, is_true)
            is_above = of_class >= threshold
            num_right = float((is_above & is_true).sum())
            metrics[label] = {
                "average_precision": float(precisions[index]) if is_true.any() else None,
                "threshold": threshold,
                "precision": num_right / max(1, int(is_above.sum())),
                "recall": num_right / max(1, int(is_true.sum())),
                "support": float(is_true.sum()),
            }
        return metrics

    def mistakes(self, probabilities: np.ndarray, labels: np.ndarray) -> list[Mistake]:
        errors = np.abs(probabilities - labels)
        order = np.argsort(-errors.max(axis=1), kind="stable")
        worst = [Mistake(int(clip), int(errors[clip].argmax())) for clip in order]
        return [mistake for mistake in worst if errors[mistake] > _UNKNOWN_THRESHOLD]


def standard_error(lead: np.ndarray, recordings: np.ndarray) -> float:
    """Return the standard error of a sum over clips `[N]`, where recordings are independent."""
    sums = [lead[recordings == recording].sum() for recording in np.unique(recordings)]
    return float(np.sqrt(np.square(sums).sum()))


def best_threshold(
    probabilities: np.ndarray, is_true: np.ndarray, otherwise: float = _UNKNOWN_THRESHOLD
) -> float:
    """Return the threshold of one class with the highest F1 on some clips.

    It gives the label to at most twice as many clips as have it, and lies halfway
    between the probabilities of two clips, so that it holds for similar ones too.

    Args:
        probabilities: Probabilities `[N]` of the class.
        is_true: Whether clips have it, `[N]`, bool.
        otherwise: Threshold of a class that no clip has, or that was not learned.
    """
    if not is_true.any():
        return otherwise
    precision, recall, thresholds = precision_recall_curve(is_true, probabilities)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12))[:-1]
    num_predicted = len(probabilities) - np.searchsorted(np.sort(probabilities), thresholds)
    f1[num_predicted > _MOST_PREDICTED * is_true.sum()] = 0
    if not f1.any():
        return otherwise
    lowest = thresholds[f1.argmax()]
    below = probabilities[probabilities < lowest]
    return float((lowest + below.max(initial=0.0)) / 2)


def _is_correct(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    is_correct: np.ndarray = probabilities.argmax(axis=1) == labels.argmax(axis=1)
    return is_correct


def _average_precisions(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the average precision of each class, `[K]`; NaN for classes that no clip has."""
    precisions = np.full(labels.shape[1], np.nan)
    for index in np.flatnonzero(labels.any(axis=0)):
        precisions[index] = average_precision_score(labels[:, index], probabilities[:, index])
    return precisions
