"""Choice among candidates: more clips are generated than are kept, and a judge hears them all.

NumPy and SciPy; no torch, no Ray. Shapes: N candidates of one class, K classes, D features.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from freqquest.cgan.judged_clips import are_recognized


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Candidates:
    """Candidates of a class, as the judge hears them."""

    class_index: int
    """Class that they were generated for."""
    probabilities: np.ndarray
    """Probabilities `[N, K]`."""
    features: np.ndarray
    """Features `[N, D]`."""
    thresholds: np.ndarray | None
    """Probability `[K]` from which a clip has a class; None if it has the most probable one."""

    @property
    def are_recognized(self) -> np.ndarray:
        """Booleans `[N]`: true if a candidate is classified as its class."""
        intended = np.full(len(self.probabilities), self.class_index)
        return are_recognized(self.probabilities, intended, self.thresholds)

    def choose(self, num_clips: int) -> np.ndarray:
        """Return the numbers of the candidates to keep, in ascending order.

        Those that the judge does not recognize come last, by the probability of their class. Among
        the others, each choice is the one that brings all of them closest to a chosen one, by the
        judge's features: so the chosen clips differ, and stand for many others. (Greedy medoids;
        Kaufman and Rousseeuw, "Finding groups in data", 1990, chapter 2.)

        Args:
            num_clips: Number of clips to keep, at most N.
        """
        recognized = np.flatnonzero(self.are_recognized)
        if len(recognized) > num_clips:
            chosen = recognized[_medoids(self.features[recognized], num_clips)]
        else:
            others = np.flatnonzero(~self.are_recognized)
            order = np.argsort(-self.probabilities[others, self.class_index], kind="stable")
            chosen = np.concatenate([recognized, others[order]])[:num_clips]
        return np.sort(chosen)


def _medoids(points: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of the points `[N, D]` that greedily minimize the sum of distances."""
    distances = cdist(points, points)
    nearest = np.full(len(points), distances.max())
    chosen: list[int] = []
    for _ in range(count):
        costs = np.minimum(nearest[:, None], distances).sum(axis=0)
        costs[chosen] = np.inf
        chosen.append(int(costs.argmin()))
        nearest = np.minimum(nearest, distances[:, chosen[-1]])
    return np.array(chosen)
