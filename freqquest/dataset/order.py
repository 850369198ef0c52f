"""Order of a split's clips in training, given by (seed, epoch) alone.

NumPy only, so that clips packed in one file are trained on in the same order as those that
`read.SplitReader` streams from shards.

The clips are shuffled by shard, and within each shard, into one long sequence. It is cut into B
stretches of equal length, B being the batch size; each step takes one clip of each stretch. Of W
processes that train together, each takes B / W neighboring stretches, and so reads only its part of
the shards; their batches together are the same for any W.
"""

from collections.abc import Iterator, Sequence

import numpy as np


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
    stretches = [
        _stretch(shard_sizes, position * length, length, seed, epoch)
        for position in rank_slice(batch_size, rank, world_size)
    ]
    yield from map(np.array, zip(*stretches, strict=True))


def _stretch(
    shard_sizes: Sequence[int], start: int, length: int, seed: int, epoch: int
) -> Iterator[int]:
    """Yield `length` row numbers of the epoch's shuffled sequence of clips, from `start` on."""
    shard_starts = np.cumsum([0, *shard_sizes])
    order = epoch_order(len(shard_sizes), seed, epoch)
    ends = np.cumsum([shard_sizes[shard] for shard in order])
    while length > 0:
        start %= int(ends[-1])
        position = int(np.searchsorted(ends, start, side="right"))
        shard = int(order[position])
        shuffled = np.random.default_rng([seed, epoch, shard]).permutation(shard_sizes[shard])
        rows = shuffled[start - ends[position] :][:length]  # from the end of the shard backward
        yield from (rows + shard_starts[shard]).tolist()
        start, length = start + len(rows), length - len(rows)
