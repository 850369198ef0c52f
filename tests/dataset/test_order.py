import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from freqquest.dataset.order import batch_rows, epoch_order, num_steps, rank_slice

SIZES = [7, 7, 7, 7, 4]
"""Clips in each shard."""


def rows_of(sizes=SIZES, batch_size=8, world_size=1, **options):
    """Return the batches of an epoch, `[steps, B]`, from all ranks together."""
    ranks = [
        list(batch_rows(sizes, batch_size, rank=rank, world_size=world_size, **options))
        for rank in range(world_size)
    ]
    return np.concatenate([np.array(rank) for rank in ranks], axis=1).tolist()


def test_an_order_is_a_permutation_given_by_seed_and_epoch():
    order = epoch_order(100, seed=1, epoch=2)
    assert sorted(order) == list(range(100))
    np.testing.assert_array_equal(order, epoch_order(100, seed=1, epoch=2))
    assert (order != epoch_order(100, seed=1, epoch=3)).any()
    assert (order != epoch_order(100, seed=2, epoch=2)).any()


def test_ranks_share_a_batch_evenly():
    parts = [rank_slice(16, rank, 3) for rank in range(3)]
    assert [len(part) for part in parts] == [5, 5, 6]
    assert [position for part in parts for position in part] == list(range(16))


def test_an_epoch_has_full_batches_but_at_least_one():
    assert num_steps(1155, 16) == 72
    assert num_steps(3, 16) == 1


def test_an_epoch_holds_every_clip_once():
    rows = rows_of(seed=1, epoch=0)
    assert Counter(row for batch in rows for row in batch) == Counter(range(sum(SIZES)))


def test_a_split_smaller_than_a_batch_repeats_clips():
    (batch,) = rows_of([2, 3], batch_size=12, seed=1, epoch=0)
    assert Counter(batch).keys() == set(range(5))
    assert len(batch) == 12


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_the_batches_are_the_same_for_any_number_of_ranks(world_size):
    for epoch in range(3):
        alone = rows_of(seed=1, epoch=epoch)
        assert rows_of(world_size=world_size, seed=1, epoch=epoch) == alone


def test_the_order_stays_as_earlier_versions_had_it():
    assert rows_of([3, 2, 4], batch_size=3, seed=3, epoch=1) == [[0, 3, 5], [1, 4, 7], [2, 8, 6]]


def test_importing_the_module_loads_only_numpy():
    code = "import sys, freqquest.dataset.order as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "pandas", "freqquest.storage"} & set(done.stdout.split())
