from types import SimpleNamespace

import numpy as np
import pytest

from freqquest.cnn.streamed_order import arrange

SHARD_SIZE = 10


def make_shards(num_shards=20, in_memory=5):
    """Shards of ten clips of one byte each, of which five fit into memory."""
    return SimpleNamespace(
        shard_bytes=np.full(num_shards, SHARD_SIZE),
        max_bytes=SHARD_SIZE * in_memory,
        shard_of=lambda rows: np.minimum(rows // SHARD_SIZE, num_shards),
    )


def order_of(shards, num_rows=200, epoch=0):
    rng = np.random.default_rng([7, epoch])
    return arrange(rng.permutation(num_rows), shards, rng)


def test_an_epoch_has_the_same_clips_in_another_order():
    first, second = (order_of(make_shards(), epoch=epoch).rows for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(200))
    assert first.tolist() != second.tolist()
    assert first.tolist() == order_of(make_shards()).rows.tolist()


@pytest.mark.parametrize("in_memory", [5, 8, 100])
def test_a_stretch_and_the_next_one_fit_into_memory(in_memory):
    shards = make_shards(in_memory=in_memory)
    order = order_of(shards)
    starts = [0, *order.ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, order.ends, strict=True)):
        held = sorted(set(shards.shard_of(order.rows[start:end]).tolist()))
        assert held == order.shards[number]
        assert order.stretch_of(start) == order.stretch_of(end - 1) == number
        both = order.shards_from(number)
        assert both[: len(held)] == held
        assert len(both) * SHARD_SIZE <= shards.max_bytes
    assert order.ends[-1] == 200
    assert sorted(shard for stretch in order.shards for shard in stretch) == list(range(20))


def test_clips_are_mixed_across_the_shards_of_a_stretch():
    order = order_of(make_shards(in_memory=12))
    firsts = make_shards().shard_of(order.rows[: order.ends[0]])
    assert len(set(firsts.tolist())) == 5
    assert np.count_nonzero(np.diff(firsts)) > 30


def test_shards_without_a_clip_of_the_epoch_are_not_read():
    rng = np.random.default_rng(0)
    order = arrange(np.repeat(np.arange(0, 200, 20), 3), make_shards(), rng)
    assert sorted(shard for stretch in order.shards for shard in stretch) == list(range(0, 20, 2))


def test_further_clips_are_anywhere_in_the_epoch():
    order = order_of(make_shards(), num_rows=300)
    positions = np.flatnonzero(order.rows >= 200)
    assert len(positions) == 100
    assert positions[25] < 120
    assert positions[75] > 180
    assert all(number < 20 for shards in order.shards for number in shards)


def test_further_clips_alone_are_one_stretch():
    order = arrange(np.arange(200, 210), make_shards(), np.random.default_rng(0))
    assert order.rows.tolist() == list(range(200, 210))
    assert (order.ends.tolist(), order.shards) == ([10], [[]])
