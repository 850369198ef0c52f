"""TODO: say what this module is for."""

import numpy as np
from scipy.optimize import minimize_scalar

from freqquest.cnn.network import SMALLEST_PROBABILITY

_TEMPERATURES = 0.1, 10.0


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """What to divide log probabilities by so that the likelihood of the true classes is largest (Guo et al., 2017).

    As in Platt, 1999, each clip counts as right to (N + 1) / (N + K) only: a few clips, all right, prove little.
    """
    num_clips, num_classes = probabilities.shape
    targets = (np.eye(num_classes)[truth] * num_clips + 1) / (num_clips + num_classes)

    def loss(log_temperature: float) -> float:
        softened = soften(probabilities, float(np.exp(log_temperature)))
        return float(-(targets * np.log(softened + SMALLEST_PROBABILITY)).sum(axis=1).mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities `[N, K]` with their logarithms divided by a temperature; above 1 they become less sure."""
    logs = np.log(probabilities + SMALLEST_PROBABILITY) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error: how far confidence and accuracy are apart, over ten bins weighted by their clips."""
    confidence, accuracy, counts = reliability_bins(probabilities, truth)
    return float((np.abs(confidence - accuracy) * counts).sum() / counts.sum())


def reliability_bins(
    probabilities: np.ndarray, truth: np.ndarray, num_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy, and number of clips, in each bin of confidence that has any."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    places = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    filled = np.unique(places)
    means = [[values[places == place].mean() for place in filled] for values in (confidence, right)]
    return (
        np.array(means[0]),
        np.array(means[1]),
        np.array([(places == place).sum() for place in filled]),
    )
