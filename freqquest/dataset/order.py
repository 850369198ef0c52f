"""Order of a split's clips in training, given by (seed, epoch) alone.

NumPy only, so that clips packed in one file are trained on in the same order as those that
`read.SplitReader` streams from shards.

The clips are shuffled by shard, and within each shard, into one long sequence. It is cut into B
stretches of equal length, B being the batch size; each step takes one clip of each stretch. Of W
processes that train together, each takes B / W neighboring stretches, and so reads only its part of
the shards; their batches together are the same for any W.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

_MAX_SHUFFLED = 64
"""Most shards whose order is kept in memory."""


def num_steps(num_clips: int, batch_size: int) -> int:
    """Return the number of batches in an epoch: only full ones, but at least one.

    The clips left over differ from epoch to epoch.
    """
    return max(1, num_clips // batch_size)


def rank_slice(batch_size: int, rank: int, world_size: int) -> range:
    """Return the positions in a batch that belong to one process; sizes differ by at most one."""
    return range(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return a permutation of `count` shards or clips."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch_rows(
    shard_sizes: Sequence[int],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[np.ndarray]:
    """Yield one epoch's batches as row numbers. A split smaller than a batch repeats clips.

    Args:
        shard_sizes: Number of clips in each shard. Rows are counted through the shards in order.
        batch_size: Batch size B, over all processes.
        seed: Seed of the order.
        epoch: Number of the epoch; each has its own order.
        rank: Number of this process.
        world_size: Number of processes W.

    Yields:
        This process's part of each batch, `[B / W]`.
    """
    length = num_steps(sum(shard_sizes), batch_size)
    shuffled_shards = _ShuffledShards(shard_sizes, seed, epoch)
    stretches = [
        shuffled_shards.stretch(position * length, length)
        for position in rank_slice(batch_size, rank, world_size)
    ]
    yield from map(np.array, zip(*stretches, strict=True))


class _ShuffledShards:
    """An epoch's shuffled sequence of clips, of which stretches are taken by turns."""

    def __init__(self, shard_sizes: Sequence[int], seed: int, epoch: int) -> None:
        self._sizes, self._seeds = shard_sizes, [seed, epoch]
        self._starts = np.cumsum([0, *shard_sizes])
        self._order = epoch_order(len(shard_sizes), seed, epoch)
        self._ends = np.cumsum([shard_sizes[shard] for shard in self._order])
        # Neighboring stretches share shards, and a generator of random numbers takes long to make.
        self._rows_of = lru_cache(maxsize=_MAX_SHUFFLED)(self._shuffle)

    def stretch(self, start: int, length: int) -> Iterator[int]:
        """Yield `length` row numbers of the sequence, from `start` on."""
        while length > 0:
            start %= int(self._ends[-1])
            position = int(np.searchsorted(self._ends, start, side="right"))
            rows = self._rows_of(int(self._order[position]))
            rows = rows[start - self._ends[position] :][:length]  # from the shard's end backward
            yield from rows.tolist()
            start, length = start + len(rows), length - len(rows)

    def _shuffle(self, shard: int) -> np.ndarray:
        rng = np.random.default_rng([*self._seeds, shard])
        rows: np.ndarray = self._starts[shard] + rng.permutation(self._sizes[shard])
        return rows
