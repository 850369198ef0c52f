"""The label that a clip with several labels is trained on by, given by (seed, epoch, row) alone.

NumPy only. Shapes: N clips of a split, B clips of a batch, K classes.
"""

import numpy as np


class LabelOrder:
    """Choice of one label of each clip: each in turn, beginning with a random one."""

    def __init__(self, num_clips: int, seed: int) -> None:
        """Draw the first label of each clip of a split."""
        self._first = np.random.default_rng(seed).integers(2**16, size=num_clips)

    def choose(self, labels: np.ndarray, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Return the class indices of an epoch, `[B]`, int64.

        Args:
            labels: Labels `[B, K]`, bool, at least one a clip.
            rows: Row numbers `[B]` of these clips in the split.
            epoch: Number of the epoch; N epochs use each of the N labels of a clip once.
        """
        chosen = (self._first[rows] + epoch) % labels.sum(axis=1)
        numbers = labels.cumsum(axis=1) - 1  # of each label within its clip
        is_chosen = labels & (numbers == chosen[:, None])
        return np.asarray(is_chosen.argmax(axis=1))
