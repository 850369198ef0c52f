"""Order of a split's clips in an epoch, and each process's share of it.

NumPy only, so that training runs where neither pyarrow nor pandas is installed.
Shapes: B clips of a batch, W processes.
"""

from collections.abc import Iterator, Sequence

import numpy as np


def num_steps(num_clips: int, batch_size: int) -> int:
    """Return the number of whole batches in an epoch, at least one.

    Each epoch leaves other clips over.
    """
    return max(1, num_clips // batch_size)


def rank_slice(batch_size: int, rank: int, world_size: int) -> range:
    """Return one process's positions in a batch; the processes' shares differ by one at most."""
    return range(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)


def epoch_rows(
    shard_sizes: Sequence[int],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[np.ndarray]:
    """Yield one process's row numbers `[B / W]` of each batch.

    The rows are shuffled by shard, and inside each shard, into one long sequence, which is cut into
    B stretches of equal length. Each batch takes one row of each stretch. A process reads B / W
    neighboring stretches, and so only its part of the shards; the batch of all processes is the
    same for any W. Rows repeat if there are fewer than a batch.

    Args:
        shard_sizes: Number of rows of each shard.
        batch_size: B, over all processes.
        seed: Seed of the order.
        epoch: Number of the epoch; each has another order.
        rank: Rank of this process.
        world_size: W, the number of processes.
    """
    length = num_steps(sum(shard_sizes), batch_size)
    parts = rank_slice(batch_size, rank, world_size)
    stretches = (_stretch(shard_sizes, part * length, length, seed, epoch) for part in parts)
    yield from map(np.array, zip(*stretches, strict=True))


def _stretch(
    shard_sizes: Sequence[int], start: int, length: int, seed: int, epoch: int
) -> Iterator[int]:
    """Yield `length` row numbers of the epoch's sequence, from position `start` on."""
    ends = np.cumsum(shard_sizes)
    order = np.random.default_rng([seed, epoch]).permutation(len(shard_sizes))
    shuffled_ends = np.cumsum([shard_sizes[index] for index in order])
    while length > 0:
        start %= int(ends[-1])
        position = int(np.searchsorted(shuffled_ends, start, side="right"))
        index = int(order[position])
        num_rows = shard_sizes[index]
        rows = np.random.default_rng([seed, epoch, index]).permutation(num_rows)
        rows = rows[start - shuffled_ends[position] :][:length]
        yield from (rows + ends[index] - num_rows).tolist()
        start, length = start + len(rows), length - len(rows)
