"""Real clips, with which generated ones are compared in a space: the features of a network.

NumPy, SciPy and scikit-learn; no torch, no Ray. The networks run in another process.
Shapes: N clips, D features, A axes, K classes.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from freqquest.cgan.distances import subsample
from freqquest.cgan.judged_clips import ClassifierOutputs, Points
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.known import KNOWN

_MEMORIZED_PERCENTILE = 1
"""Percentile of the held-out clips' nearest ratios below which a clip counts as memorized."""
_COPY_RATIO = 0.05
"""Nearest ratio that always counts as memorized, even if held-out clips are copies themselves."""
_MIN_DISTANCE = 1e-3
"""Smallest distance, where the training clips' variance is 1: below, two clips are the same."""


class Space(NamedTuple):
    """Features by which clips are compared."""

    name: str
    """First part of the metrics' tags."""
    note: str
    """Network, and comparability of the metrics; shown wherever they are."""
    num_axes: int | None
    """Number of leading principal axes of the training clips that distances are taken on; None for
    the features themselves."""


CLASSIFIER = Space(
    name="judge",
    note="by freqquest's own classifier: not comparable with published FAD, only with runs on the "
    "same dataset and judge",
    num_axes=32,  # 97 % of the variance of 576 features (five classes of UrbanSound8K)
)
"""The features of the judge. Axes need fewer clips than there are features."""


def embedding_space(config: EmbeddingConfig) -> Space:
    """Return the space of a pretrained network's vectors, whose kernel distance others publish."""
    title = KNOWN[config.sha256].title if config.sha256 in KNOWN else config.name
    note = (
        f"by {title}: 100 x kernel compares with published KAD of the same network, real clips and "
        "numbers of clips, all else only with runs on the same dataset"
    )
    return Space(name="embedding", note=note, num_axes=None)


_Function = TypeVar("_Function", bound=Callable[..., object])


def single_threaded(function: _Function) -> _Function:
    """Limit linear algebra to one thread.

    Such small matrices take twenty times as long on several threads, which wait for each other when
    cores are busy.
    """
    limited: _Function = threadpool_limits.wrap(limits=1)(function)
    return limited


class RealClips:
    """Real clips that generated ones are compared with, measured once for all evaluations."""

    @single_threaded
    def __init__(
        self,
        held_out: ClassifierOutputs,
        training: ClassifierOutputs,
        classes: list[str],
        space: Space = CLASSIFIER,
    ) -> None:
        """Compute the axes, and the distances of held-out clips from training clips.

        Args:
            held_out: Clips that the generator does not learn from.
            training: Clips that it learns from, without augmented copies.
            classes: Names of the classes.
            space: The space of the features.
        """
        self.classes, self.space = classes, space
        features = training.features.astype(np.float64)
        self._center = features.mean(axis=0)
        centered = features - self._center
        self._spread = max(float(np.sqrt(np.square(centered).sum(axis=1).mean())), 1e-12)
        self._axes = None
        if space.num_axes is not None:
            _, directions = np.linalg.eigh(centered.T @ centered)
            self._axes = directions[:, ::-1][:, : space.num_axes]
        self.held_out, self.training = self.points(held_out), self.points(training)
        self.kernel_width = self._kernel_width()
        self._neighbors = NearestNeighbors(n_neighbors=1).fit(self.training.coordinates)
        distances = self._nearest(self.held_out)
        self._usual_distances = np.full(
            len(classes), max(float(np.median(distances)), _MIN_DISTANCE)
        )
        for index in np.unique(self.held_out.class_indices):
            usual = np.median(distances[self.held_out.class_indices == index])
            self._usual_distances[index] = max(float(usual), _MIN_DISTANCE)
        self.held_out_ratios = self.nearest_ratios(self.held_out)
        self.memorized_ratio = max(
            float(np.percentile(self.held_out_ratios, _MEMORIZED_PERCENTILE)), _COPY_RATIO
        )

    def points(self, outputs: ClassifierOutputs) -> Points:
        """Return clips on the training clips' axes, scaled to the training clips' variance."""
        centered = outputs.features - self._center
        return Points(
            coordinates=(centered if self._axes is None else centered @ self._axes) / self._spread,
            class_indices=outputs.class_indices,
            is_correct=outputs.is_correct,
            clip_numbers=outputs.clip_numbers,
        )

    def nearest_ratios(self, points: Points) -> np.ndarray:
        """Return distances `[N]` to the nearest training clip of any class.

        They are relative to the median of the held-out clips of the same class.
        """
        return np.asarray(self._nearest(points) / self._usual_distances[points.class_indices])

    def nearest_numbers(self, points: Points) -> np.ndarray:
        """Return the numbers `[N]` of the nearest training clips, of any class."""
        return np.asarray(self._neighbors.kneighbors(points.coordinates)[1][:, 0])

    def _kernel_width(self) -> float:
        """Return the median distance of the training clips on axes, else of the held-out clips.

        These are the reference clips of a kernel audio distance.
        """
        reference = self.held_out.distinct() if self._axes is None else self.training
        distances = pdist(subsample(reference.coordinates))
        return max(float(np.median(distances)) if len(distances) else 0.0, _MIN_DISTANCE)

    def _nearest(self, points: Points) -> np.ndarray:
        if not len(points):
            return np.zeros(0)
        return np.asarray(self._neighbors.kneighbors(points.coordinates)[0][:, 0])
