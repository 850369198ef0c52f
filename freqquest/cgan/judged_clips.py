"""Clips as the judge sees them: its outputs, and points whose distances are compared.

NumPy only. Shapes: N clips, D features, A axes, K classes.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifierOutputs:
    """Outputs of the judge for some clips."""

    probabilities: np.ndarray
    """Probabilities `[N, K]`, in order of the classes."""
    features: np.ndarray
    """Features `[N, D]`."""
    class_indices: np.ndarray
    """Intended classes `[N]`."""
    thresholds: np.ndarray | None = None
    """Probability `[K]` from which a clip has a class; None if it has the most probable one."""
    clip_numbers: np.ndarray | None = None
    """Clip of each row, `[N]`, if real clips with several labels have several rows."""

    @property
    def is_correct(self) -> np.ndarray:
        """Booleans `[N]`: true if a clip is classified as intended."""
        return are_recognized(self.probabilities, self.class_indices, self.thresholds)


def are_recognized(
    probabilities: np.ndarray, class_indices: np.ndarray, thresholds: np.ndarray | None
) -> np.ndarray:
    """Return which clips are classified as intended, `[N]`, bool.

    Args:
        probabilities: `[N, K]`.
        class_indices: Intended classes `[N]`.
        thresholds: Probability `[K]` from which a clip has a class; None if it has the most
            probable one.
    """
    if thresholds is None:
        return np.asarray(probabilities.argmax(axis=1) == class_indices)
    intended = probabilities[np.arange(len(class_indices)), class_indices]
    return np.asarray(intended >= thresholds[class_indices])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Points:
    """Clips of one kind, ready to be compared."""

    coordinates: np.ndarray
    """Coordinates `[N, A]` on the training clips' axes."""
    class_indices: np.ndarray
    """Intended classes `[N]`."""
    is_correct: np.ndarray
    """Booleans `[N]`: true if a clip is classified as intended."""
    clip_numbers: np.ndarray | None = None
    """Clip of each point, `[N]`, if a clip may have several."""

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.coordinates)

    def of_class(self, index: int) -> "Points":
        """Return the clips of one class."""
        return self._take(np.flatnonzero(self.class_indices == index))

    def distinct(self) -> "Points":
        """Return one point of each clip: equal ones would make the clips look more alike."""
        if self.clip_numbers is None:
            return self
        return self._take(np.unique(self.clip_numbers, return_index=True)[1])

    def draw(self, num_clips: int, seed: int) -> "Points":
        """Return at most `num_clips` random clips of each class."""
        order = np.random.default_rng(seed).permutation(len(self))
        rows = [
            order[self.class_indices[order] == index][:num_clips]
            for index in np.unique(self.class_indices)
        ]
        return self._take(np.concatenate(rows))

    def _take(self, rows: np.ndarray) -> "Points":
        return Points(
            coordinates=self.coordinates[rows],
            class_indices=self.class_indices[rows],
            is_correct=self.is_correct[rows],
            clip_numbers=None if self.clip_numbers is None else self.clip_numbers[rows],
        )
