"""The order of the clips of an epoch that are read from shards: a stretch of shards at a time.

NumPy only. Shapes: D clips of an epoch.
"""

from dataclasses import dataclass

import numpy as np

from freqquest.dataset.sharded_spectrograms import ShardedSpectrograms


@dataclass(frozen=True, slots=True)
class StreamedOrder:
    """Rows of an epoch, in their order, and the shards that hold them."""

    rows: np.ndarray
    """`[D]`."""
    ends: np.ndarray
    """Position behind the last clip of each stretch."""
    shards: list[list[int]]
    """Shards of each stretch."""

    def stretch_of(self, position: int) -> int:
        """Return the number of the stretch at a position."""
        return int(np.searchsorted(self.ends, position, side="right"))

    def shards_from(self, stretch: int) -> list[int]:
        """Return the shards of a stretch, and those of the next one, which are read ahead."""
        return [number for shards in self.shards[stretch : stretch + 2] for number in shards]


def arrange(
    rows: np.ndarray, spectrograms: ShardedSpectrograms, rng: np.random.Generator
) -> StreamedOrder:
    """Arrange the clips of an epoch by stretches of shuffled shards, of which two fit into memory.

    Args:
        rows: Rows `[D]` in any order, which they keep within a stretch.
        spectrograms: Spectrograms that the rows refer to.
        rng: Random numbers of the epoch.
    """
    sizes = spectrograms.shard_bytes
    numbers = spectrograms.shard_of(rows)
    used = np.unique(numbers[numbers < len(sizes)])
    stretch_of = np.zeros(len(sizes) + 1, int)
    if len(used):
        shuffled = rng.permutation(used)
        # Two stretches fit, even where a shard of the one reaches into the other.
        length = max(1, spectrograms.max_bytes // 2 - sizes[used].max())
        starts = np.cumsum(sizes[shuffled]) - sizes[shuffled]
        stretch_of[shuffled] = starts // length
    stretches = stretch_of[numbers]
    is_extra = numbers == len(sizes)  # in memory, and so anywhere in the epoch
    stretches[is_extra] = rng.integers(stretch_of.max() + 1, size=is_extra.sum())
    _, stretches, counts = np.unique(stretches, return_inverse=True, return_counts=True)
    order = np.argsort(stretches, kind="stable")
    ends = np.cumsum(counts)
    parts = np.split(numbers[order], ends[:-1])
    return StreamedOrder(
        rows=rows[order],
        ends=ends,
        shards=[np.unique(part[part < len(sizes)]).tolist() for part in parts],
    )
