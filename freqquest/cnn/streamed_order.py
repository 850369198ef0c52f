"""The order of the clips of an epoch that are read from shards: a stretch of shards at a time.

NumPy only. Shapes: N clips, D clips of an epoch.
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

    def following(self, position: int) -> list[int]:
        """Return the shards of the stretch after that of a position; none after the last one."""
        stretch = int(np.searchsorted(self.ends, position, side="right")) + 1
        return self.shards[stretch] if stretch < len(self.shards) else []


def draw_streamed(
    rows: np.ndarray,
    shares: np.ndarray,
    num_drawn: int,
    spectrograms: ShardedSpectrograms,
    rng: np.random.Generator,
) -> StreamedOrder:
    """Draw the clips of an epoch from shuffled shards, and shuffle them stretch by stretch.

    Systematic resampling along the shuffled shards draws each clip as often as if all were in
    memory, to within one. Stretches take half the memory, so that one is read ahead of its use.

    Args:
        rows: Rows `[N]` to draw from.
        shares: Their shares `[N]` of the epoch, which sum to 1.
        num_drawn: Clips to draw, D.
        spectrograms: Spectrograms that the rows refer to.
        rng: Random numbers of the epoch.
    """
    num_bytes = spectrograms.shard_bytes
    shuffled = rng.permutation(len(num_bytes))
    places = np.empty(len(num_bytes), int)
    places[shuffled] = np.arange(len(num_bytes))
    stretch_of = np.empty(len(num_bytes), int)
    # Two stretches fit, even where a shard of the one reaches into the other.
    length = max(1, spectrograms.max_bytes // 2 - num_bytes.max())
    starts = np.cumsum(num_bytes[shuffled]) - num_bytes[shuffled]
    stretch_of[shuffled] = starts // length
    numbers = spectrograms.shard_of(rows)
    is_extra = numbers == len(num_bytes)  # in memory, and so anywhere in the epoch
    numbers[is_extra] = rng.integers(len(num_bytes), size=is_extra.sum())
    by_place = np.argsort(places[numbers], kind="stable")
    quantiles = (np.arange(num_drawn) + rng.uniform(0.01, 0.99)) / num_drawn
    drawn = np.searchsorted(np.cumsum(shares[by_place]), quantiles)
    drawn = by_place[np.minimum(drawn, len(rows) - 1)]
    stretches = stretch_of[numbers[drawn]]
    shuffled_drawn = drawn[np.lexsort((rng.random(num_drawn), stretches))]
    stretches, counts = np.unique(stretches, return_counts=True)
    return StreamedOrder(
        rows=rows[shuffled_drawn],
        ends=np.cumsum(counts),
        shards=[np.flatnonzero(stretch_of == stretch).tolist() for stretch in stretches],
    )
