"""Heads: linear classifiers of the vectors of a pretrained network.

NumPy, SciPy and scikit-learn; Keras is imported inside a function; no Ray.
Shapes: N clips, D values of a vector, K classes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import SMALLEST_PROBABILITY, Temperature

if TYPE_CHECKING:
    import keras

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Strengths to choose from: the inverse of the regularization, `C` in scikit-learn."""

_USUAL_STRENGTH = 1e-1
"""Strength where there are too few recordings to choose one."""

_NUM_PARTS = 4
"""Parts of the training recordings, each of which is predicted in turn to choose the strength."""

_MAX_ITERATIONS = 1000

_ABSENT_LOGIT = -10.0
"""Logit of a class that no training clip has."""


class Head(NamedTuple):
    """The weights of a head."""

    kernel: np.ndarray
    """`[D, K]`."""
    bias: np.ndarray
    """`[K]`."""
    has_several_labels: bool
    """Whether each class has a probability of its own."""

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return the probabilities `[N, K]` of vectors `[N, D]`."""
        logits = vectors @ self.kernel + self.bias
        probabilities: np.ndarray = (
            expit(logits) if self.has_several_labels else softmax(logits, axis=1)
        )
        return probabilities

    def divided(self, temperature: Temperature) -> "Head":
        """Return the head whose logits are divided by a temperature."""
        return self._replace(
            kernel=self.kernel / np.asarray(temperature), bias=self.bias / np.asarray(temperature)
        )


class FittedHead(NamedTuple):
    """A head, and its predictions of clips that it was not fitted to."""

    head: Head
    probabilities: np.ndarray
    """Probabilities `[N, K]` of the split's validation clips; N may be 0."""


def fit_on_split(clips: LabeledClips, split: SplitRows) -> FittedHead:
    """Fit a head to the training clips of a split, and predict its validation clips."""
    assert clips.vectors is not None
    head = fit_head(clips, split.train)
    return FittedHead(head, head.probabilities(clips.vectors[split.validation]))


def fit_head(clips: LabeledClips, rows: np.ndarray) -> Head:
    """Fit a head to some rows of clips with vectors, as `fit_vectors` does."""
    assert clips.vectors is not None
    return fit_vectors(
        clips.vectors[rows],
        clips.labels[rows],
        clips.recordings.codes[rows],
        has_several_labels=clips.has_several_labels,
    )


def fit_vectors(
    vectors: np.ndarray, labels: np.ndarray, recordings: np.ndarray, *, has_several_labels: bool
) -> Head:
    """Fit a head by regularized logistic regression; of several labels, one for each class.

    All recordings have the same weight. The strength is the one with the lowest loss on recordings
    that are left out.

    Args:
        vectors: `[N, D]`.
        labels: `[N, K]`, bool.
        recordings: `[N]`.
        has_several_labels: Whether clips may have several labels.
    """
    weights = _equal_weights(recordings)
    mean = np.average(vectors, axis=0, weights=weights)
    variances = np.average(np.square(vectors - mean), axis=0, weights=weights)
    scale = float(np.sqrt(variances.mean())) or 1.0
    examples = _Examples(
        vectors=(vectors - mean) / scale,
        labels=labels,
        weights=weights,
        has_several_labels=has_several_labels,
    )
    with threadpool_limits(1):  # with more threads, matrices this small take longer
        head = _fit(examples, _choose_strength(examples, recordings))
    kernel = head.kernel / scale
    return head._replace(kernel=kernel, bias=head.bias - mean @ kernel)


def mean_head(heads: Sequence[Head]) -> Head:
    """Return the head whose logits are the mean of several heads' logits."""
    return heads[0]._replace(
        kernel=np.mean([head.kernel for head in heads], axis=0),
        bias=np.mean([head.bias for head in heads], axis=0),
    )


def build_head(head: Head) -> "keras.Model":
    """Build the network of a head, of Keras' own layers: vectors `[N, D]` to probabilities."""
    from freqquest.cnn.frameworks import keras

    num_values, num_classes = head.kernel.shape
    inputs = keras.Input((num_values,), name="vector")
    dense = keras.layers.Dense(num_classes)
    last = keras.layers.Activation("sigmoid") if head.has_several_labels else keras.layers.Softmax()
    model = keras.Model(inputs, last(dense(inputs)))
    dense.set_weights([head.kernel, head.bias])
    return model


class _Examples(NamedTuple):
    """Clips that a head is fitted to."""

    vectors: np.ndarray
    """`[N, D]`, with means of 0 and a mean variance of 1."""
    labels: np.ndarray
    weights: np.ndarray
    has_several_labels: bool

    def take(self, rows: np.ndarray) -> "_Examples":
        """Return some of the clips."""
        return self._replace(
            vectors=self.vectors[rows], labels=self.labels[rows], weights=self.weights[rows]
        )

    def loss(self, head: Head) -> float:
        """Return the sum of the cross-entropy of each class by itself."""
        probabilities = head.probabilities(self.vectors)
        of_truth = np.where(self.labels, probabilities, 1 - probabilities)
        return float((self.weights @ -np.log(of_truth + SMALLEST_PROBABILITY)).sum())


def _equal_weights(recordings: np.ndarray) -> np.ndarray:
    """Return weights of clips `[N]` that sum to 1 for each recording."""
    _, numbers, counts = np.unique(recordings, return_inverse=True, return_counts=True)
    weights: np.ndarray = 1 / counts[numbers]
    return weights


def _choose_strength(examples: _Examples, recordings: np.ndarray) -> float:
    num_parts = min(_NUM_PARTS, len(set(recordings)))
    if num_parts < 2:
        return _USUAL_STRENGTH
    losses = np.zeros(len(_STRENGTHS))
    for train, rest in GroupKFold(num_parts).split(examples.vectors, groups=recordings):
        some, others = examples.take(train), examples.take(rest)
        losses += [others.loss(_fit(some, strength)) for strength in _STRENGTHS]
    return _STRENGTHS[losses.argmin()]


def _fit(examples: _Examples, strength: float) -> Head:
    vectors, labels, weights, has_several_labels = examples
    kernel = np.zeros((vectors.shape[1], labels.shape[1]))
    bias = np.where(labels.all(axis=0), -_ABSENT_LOGIT, _ABSENT_LOGIT)
    regression = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS)
    present = np.flatnonzero(labels.any(axis=0))
    if has_several_labels:
        for index in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
            regression.fit(vectors, labels[:, index], weights)
            kernel[:, index], bias[index] = regression.coef_[0], regression.intercept_[0]
    elif len(present) == 2:  # one logit, which both classes share
        regression.fit(vectors, labels[:, present[1]], weights)
        shares = np.array([-0.5, 0.5])
        kernel[:, present] = regression.coef_.T * shares
        bias[present] = regression.intercept_ * shares
    elif len(present) > 2:
        regression.fit(vectors, labels.argmax(axis=1), weights)
        kernel[:, present], bias[present] = regression.coef_.T, regression.intercept_
    return Head(kernel, bias, has_several_labels)
