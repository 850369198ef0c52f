"""Probabilities of files, averaged over their windows. NumPy only. Shapes: N windows, K classes."""

import numpy as np


class WindowMeans:
    """Mean class probabilities of files, whose windows arrive in any order."""

    def __init__(self, num_files: int, num_classes: int) -> None:
        self._sums = np.zeros((num_files, num_classes), np.float32)
        self._counts = np.zeros(num_files, np.int64)

    def add(self, files: np.ndarray, probabilities: np.ndarray) -> int:
        """Add windows, and return the number of files that had none before.

        Args:
            files: Number of the file of each window, `[N]`.
            probabilities: `[N, K]`.
        """
        num_new = int((self._counts[np.unique(files)] == 0).sum())
        np.add.at(self._sums, files, probabilities)
        np.add.at(self._counts, files, 1)
        return num_new

    def means(self) -> np.ndarray:
        """Return the mean probabilities `[files, K]`; 0 for files without windows."""
        means: np.ndarray = self._sums / np.maximum(self._counts, 1)[:, None]
        return means.astype(np.float32)
