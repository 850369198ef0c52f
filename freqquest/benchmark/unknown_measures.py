"""Measures of confidence that a clip has one of the known classes; larger is more confident.

NumPy, SciPy and scikit-learn. Shapes: N clips, M training clips, K classes, D features.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

_NUM_NEIGHBORS = 10


class Outputs(NamedTuple):
    """Outputs of a network for some clips."""

    logits: np.ndarray
    """`[N, K]`."""
    features: np.ndarray
    """Inputs of the last dense layers, `[N, D]`."""


class Training(NamedTuple):
    """Outputs of a network for its training clips."""

    outputs: Outputs
    class_indices: np.ndarray
    """`[M]`."""


Measure = Callable[[Training, Outputs], np.ndarray]


def maximum_probability(_: Training, outputs: Outputs) -> np.ndarray:
    """Return the probability of the most probable class, `[N]` (Hendrycks and Gimpel, 2017)."""
    probabilities: np.ndarray = np.exp(log_softmax(outputs.logits, axis=1)).max(axis=1)
    return probabilities


def energy(_: Training, outputs: Outputs) -> np.ndarray:
    """Return the logarithm of the sum of all exponentials of logits, `[N]` (Liu et al., 2020)."""
    energies: np.ndarray = logsumexp(outputs.logits, axis=1)
    return energies


def mahalanobis(training: Training, outputs: Outputs) -> np.ndarray:
    """Return minus the squared distance to the nearest class, `[N]` (Lee et al., 2018).

    All classes share one covariance, shrunk because there are few clips (Ledoit and Wolf, 2004).
    """
    features, classes = training.outputs.features, training.class_indices
    means = np.stack([features[classes == index].mean(axis=0) for index in np.unique(classes)])
    _, positions = np.unique(classes, return_inverse=True)
    covariance = LedoitWolf(assume_centered=True).fit(features - means[positions])
    squares = [covariance.mahalanobis(outputs.features - mean) for mean in means]
    nearest: np.ndarray = -np.min(squares, axis=0)
    return nearest


def nearest_neighbor(training: Training, outputs: Outputs) -> np.ndarray:
    """Return minus the distance to the 10th nearest training clip, `[N]` (Sun et al., 2022).

    Features are scaled to unit length.
    """
    known = _unit_length(training.outputs.features)
    search = NearestNeighbors(n_neighbors=min(_NUM_NEIGHBORS, len(known))).fit(known)
    distances, _ = search.kneighbors(_unit_length(outputs.features))
    farthest: np.ndarray = -distances[:, -1]
    return farthest


def _unit_length(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: np.ndarray = features / np.maximum(lengths, 1e-12)
    return scaled


MEASURES: dict[str, Measure] = {
    "maximum probability": maximum_probability,
    "energy": energy,
    "Mahalanobis distance": mahalanobis,
    "nearest neighbor": nearest_neighbor,
}
"""All measures, the simplest first."""
