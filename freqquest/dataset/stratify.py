"""Division of groups of clips into parts that have the same share of every label.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label
Data", ECML PKDD 2011), here over groups, then moves of single groups as in Fiduccia and Mattheyses,
"A Linear-Time Heuristic for Improving Network Partitions", DAC 1982. scikit-learn has no such
division for clips with several labels, nor for parts of unequal size, and is slow for many groups.

NumPy and SciPy; pure functions. Shapes: N labels of clips, G groups, L labels, P parts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array

_CLOSE = 0.001
"""Deviation from the requested share that needs no improvement."""

_MISSING = 10.0
"""Cost of a label that a part lacks; any deviation costs less."""

_MAX_TRIES, _MAX_PASSES, _NUM_MOVES = 30, 20, 50
"""Tries, passes of each try that improve it, and moves of each pass."""

_MAX_ENTRIES = 200_000_000
"""Entries of the matrices of all moves together, a few seconds: large divisions need no luck."""

_BLOCK = 50_000
"""Groups in Python's own lists at a time."""


def count_labels(groups: np.ndarray, labels: np.ndarray) -> csr_array:
    """Return the number of clips of each group and label, `[G, L]`.

    Args:
        groups: Group of each clip, `[N]`, int from 0. A clip with several labels is repeated.
        labels: Label of each clip, `[N]`, int from 0.
    """
    return csr_array((np.ones(len(groups)), (groups, labels)))


def divide_groups(counts: csr_array, shares: Sequence[float], seed: int) -> np.ndarray:
    """Divide groups into parts, so that each has about the same share of every label.

    Every part gets every label, unless too few groups have it or they have other labels too.

    Args:
        counts: Number of clips of each group and label, `[G, L]`, without empty labels.
        shares: Requested share of each part, `[P]`; their sum is 1.
        seed: Seed of the order in which similar groups are dealt out.

    Returns:
        Part of each group, `[G]`, int from 0.
    """
    weights = _relative(counts)
    wanted = np.array(shares)
    rng = np.random.default_rng(seed)
    best, best_quality = np.empty(0, np.int64), (np.inf, np.inf)
    max_passes = _MAX_ENTRIES // (int(weights.nnz) * len(wanted) * _NUM_MOVES)
    for _ in range(max(1, min(_MAX_TRIES, max_passes // _MAX_PASSES))):
        parts = _deal(weights, wanted, rng)
        parts = _improve(weights, parts, wanted, max(1, min(_MAX_PASSES, max_passes)))
        quality = _quality(weights, parts, wanted)
        if quality < best_quality:
            best, best_quality = parts, quality
        if best_quality <= (0, _CLOSE):
            break
    return best


def label_shares(counts: csr_array, parts: np.ndarray, num_parts: int) -> np.ndarray:
    """Return the share of each label's clips that each part has, `[P, L]`."""
    return _sum_by_part(_relative(counts), parts, num_parts)


def _relative(counts: csr_array) -> csr_array:
    """Return each group's share of each label's clips, `[G, L]`."""
    weights = counts.astype(np.float64)
    weights.data /= np.asarray(counts.sum(axis=0))[weights.indices]
    return weights


def _sum_by_part(weights: csr_array, parts: np.ndarray, num_parts: int) -> np.ndarray:
    """Return the sum over each part's groups, `[P, L]`."""
    membership = csr_array(
        (np.ones(len(parts)), (parts, np.arange(len(parts)))), (num_parts, len(parts))
    )
    sums: np.ndarray = (membership @ weights).toarray()
    return sums


def _quality(weights: csr_array, parts: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """Return the number of labels that parts lack, and the largest deviation; smaller is better."""
    got = _sum_by_part(weights, parts, len(shares))
    return float((got == 0).sum()), float(np.abs(got - shares[:, None]).max())


def _deal(weights: csr_array, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each group to the part that lags behind most: rarest labels first, large groups first.

    The sum of `filled ** 2 / share` over all labels and parts is kept as small as possible, which
    keeps the parts in proportion at every step.
    """
    num_parts = len(shares)
    num_left = np.bincount(weights.indices, minlength=weights.shape[1]).tolist()
    filled = [[0.0] * num_parts for _ in num_left]
    num_lacking = [num_parts] * len(num_left)
    factors = list(enumerate((1 / shares).tolist()))
    parts = np.empty(weights.shape[0], np.int64)
    for group, entries in _ordered_rows(weights, rng):
        costs = [0.0] * num_parts
        for label, size in entries:
            done = filled[label]
            for part, factor in factors:
                costs[part] += size * (done[part] + size / 2) * factor
            if 0 < num_lacking[label] >= num_left[label]:  # the last chance of parts without it
                costs = [cost - _MISSING * (not got) for cost, got in zip(costs, done, strict=True)]
            num_left[label] -= 1
        chosen = costs.index(min(costs))
        for label, size in entries:
            num_lacking[label] -= not filled[label][chosen]
            filled[label][chosen] += size
        parts[group] = chosen
    return parts


def _ordered_rows(
    weights: csr_array, rng: np.random.Generator
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Yield each group and its labels with their sizes, a block at a time to save memory."""
    order = _order(weights, rng)
    for start in range(0, len(order), _BLOCK):
        groups = order[start : start + _BLOCK]
        rows = weights[groups]
        entries = list(zip(rows.indices.tolist(), rows.data.tolist(), strict=True))
        bounds = rows.indptr.tolist()
        for number, group in enumerate(groups.tolist()):
            yield group, entries[bounds[number] : bounds[number + 1]]


def _order(weights: csr_array, rng: np.random.Generator) -> np.ndarray:
    """Return the groups by their rarest label, the label of fewest groups first; large ones first.

    Groups whose sizes differ by less than half are in random order, so that the seed decides.
    """
    num_groups, num_labels = weights.shape
    rank = np.empty(num_labels, np.int64)
    rank[np.argsort(np.bincount(weights.indices, minlength=num_labels))] = np.arange(num_labels)
    rarest = np.minimum.reduceat(rank[weights.indices], weights.indptr[:-1])
    sizes = np.maximum.reduceat(weights.data, weights.indptr[:-1])
    return np.lexsort((-sizes * rng.uniform(0.5, 1, num_groups), rarest))


def _improve(
    weights: csr_array, parts: np.ndarray, shares: np.ndarray, num_passes: int
) -> np.ndarray:
    """Move single groups while that brings the shares closer to the requested ones."""
    excess = _sum_by_part(weights, parts, len(shares)) - shares[:, None]
    num_groups = _sum_by_part(_presence(weights), parts, len(shares))
    is_far = _are_far(excess, num_groups).any(axis=0)
    movable = np.flatnonzero(_presence(weights) @ is_far)
    if len(movable) == 0:
        return parts
    division = _Division(weights[movable], parts[movable], excess, num_groups)
    for _ in range(num_passes):
        if division.is_close or not division.improve():
            break
    improved = parts.copy()
    improved[movable] = division.parts
    return improved


def _are_far(excess: np.ndarray, num_groups: np.ndarray) -> np.ndarray:
    far: np.ndarray = (np.abs(excess) > _CLOSE) | (num_groups == 0)
    return far


def _presence(weights: csr_array) -> csr_array:
    """Return the matrix with a 1 for each label of each group, `[G, L]`."""
    return csr_array((np.ones(weights.nnz), weights.indices, weights.indptr), weights.shape)


class _Division:
    """A division into parts, and the cost of moving each group that may be moved."""

    def __init__(
        self, weights: csr_array, parts: np.ndarray, excess: np.ndarray, num_groups: np.ndarray
    ) -> None:
        """Begin with a division.

        Args:
            weights: Each movable group's share of each label, `[G, L]`.
            parts: Part of each movable group, `[G]`.
            excess: Share that each part has too much of each label, `[P, L]`, of all groups.
            num_groups: Number of groups of each part with each label, `[P, L]`, of all groups.
        """
        self.parts = parts
        self._weights, self._presence = weights, _presence(weights)
        self._excess, self._num_groups = excess, num_groups
        self._squares = np.asarray((weights * weights).sum(axis=1))

    @property
    def is_close(self) -> bool:
        """True if no part is far from its share of any label."""
        return not _are_far(self._excess, self._num_groups).any()

    def improve(self) -> bool:
        """Make a pass over the groups; return whether it has lowered the cost.

        The pass makes the best moves one after the other, also ones that are bad alone, at most one
        of each group, and then takes back those after the best state on the way.
        """
        is_movable = np.ones(len(self.parts), bool)
        moves, cost, lowest_cost, num_kept = [], 0.0, -1e-9, 0
        for _ in range(min(_NUM_MOVES, len(self.parts))):
            costs = self._costs()
            costs[~is_movable] = np.inf
            group, part = divmod(int(np.argmin(costs)), costs.shape[1])
            cost += costs[group, part]
            moves.append((group, self.parts[group]))
            self._move(group, part)
            is_movable[group] = False
            if cost < lowest_cost:
                lowest_cost, num_kept = cost, len(moves)
        for group, part in reversed(moves[num_kept:]):
            self._move(group, part)
        return num_kept > 0

    def _costs(self) -> np.ndarray:
        """Return what the move of each group to each part adds to the cost, `[G, P]`.

        The cost is the sum of the squared deviations, and `_MISSING` for each label that a part
        lacks.
        """
        rows = np.arange(len(self.parts))
        excess = self._weights @ self._excess.T
        gained = self._presence @ (self._num_groups == 0).T.astype(np.float64)
        lost = (self._presence @ (self._num_groups == 1).T.astype(np.float64))[rows, self.parts]
        own = excess[rows, self.parts]
        costs: np.ndarray = 2 * (excess + (self._squares - own)[:, None]) + _MISSING * (
            lost[:, None] - gained
        )
        costs[rows, self.parts] = np.inf
        return costs

    def _move(self, group: int, part: int) -> None:
        entries = slice(self._weights.indptr[group], self._weights.indptr[group + 1])
        labels, sizes = self._weights.indices[entries], self._weights.data[entries]
        for sign, changed in ((-1, self.parts[group]), (1, part)):
            self._excess[changed, labels] += sign * sizes
            self._num_groups[changed, labels] += sign
        self.parts[group] = part
