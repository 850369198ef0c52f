"""Calibration of class probabilities: temperature scaling, and how far confidence is from accuracy.

NumPy and SciPy only, no Ray. Shapes: N clips, K classes.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from freqquest.cnn.network import SMALLEST_PROBABILITY

_TEMPERATURES = 0.1, 10.0
"""Range of the search for a temperature."""


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the highest likelihood of the true classes (Guo et al., 2017).

    Each clip counts as (N + 1) / (N + K) of its true class, after Platt, 1999: a few clips, all
    classified correctly, prove little.

    Args:
        probabilities: `[N, K]`.
        truth: Class indices `[N]`.
    """
    num_clips, num_classes = probabilities.shape
    targets = (np.eye(num_classes)[truth] * num_clips + 1) / (num_clips + num_classes)

    def loss(log_temperature: float) -> float:
        softened = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-(targets * np.log(softened + SMALLEST_PROBABILITY)).sum(axis=1).mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logarithms of probabilities `[N, K]` by a temperature; above 1 softens them."""
    # As float64, so that two probabilities that differ a little still do.
    logs = np.log(probabilities.astype(np.float64) + SMALLEST_PROBABILITY) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    softened: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return softened


def as_two_classes(probabilities: np.ndarray) -> np.ndarray:
    """Return the probabilities `[..., 2]` that a label does not apply, and that it does."""
    return np.stack([1 - probabilities, probabilities], axis=-1)


def fit_temperatures(probabilities: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the temperature of each class for clips with any number of labels.

    A class that none or all of the clips have keeps its probabilities.

    Args:
        probabilities: `[N, K]`, of each label by itself.
        labels: True labels `[N, K]`, bool.
    """
    return [
        fit_temperature(as_two_classes(of_class), is_true.astype(int))
        if 0 < is_true.sum() < len(is_true)
        else 1.0
        for of_class, is_true in zip(probabilities.T, labels.T, strict=True)
    ]


def apply_temperatures(probabilities: np.ndarray, temperatures: list[float]) -> np.ndarray:
    """Divide the logits of probabilities `[N, K]`, of each label by itself, by the temperatures."""
    softened = [
        apply_temperature(as_two_classes(of_class), temperature)[:, 1]
        for of_class, temperature in zip(probabilities.T, temperatures, strict=True)
    ]
    return np.stack(softened, axis=1)


def geometric_mean(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric mean of several probabilities `[..., K]`, which sums to 1 again."""
    logs = [np.log(each.astype(np.float64) + SMALLEST_PROBABILITY) for each in probabilities]
    mean: np.ndarray = softmax(np.mean(logs, axis=0), axis=-1)
    return mean


def calibration_error(confidence: np.ndarray, accuracy: np.ndarray, counts: np.ndarray) -> float:
    """Return the expected calibration error: |confidence - accuracy|, averaged over the bins.

    Bins are those of `reliability_bins`, weighted by their number of clips.
    """
    return float((np.abs(confidence - accuracy) * counts).sum() / counts.sum())


def reliability_bins(
    probabilities: np.ndarray, truth: np.ndarray, num_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence, accuracy and number of clips of each nonempty confidence bin."""
    confidence = probabilities.max(axis=1)
    is_correct = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    filled = np.unique(bins)
    return (
        np.array([confidence[bins == number].mean() for number in filled]),
        np.array([is_correct[bins == number].mean() for number in filled]),
        np.array([(bins == number).sum() for number in filled]),
    )
