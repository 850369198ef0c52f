from types import SimpleNamespace

import numpy as np
import pytest

from freqquest.cnn.streamed_order import draw_streamed

SHARD_SIZE = 10


def make_shards(num_shards=20, in_memory=5, num_extra=0):
    """Shards of ten clips of one byte each, of which five fit into memory."""
    num_rows = SHARD_SIZE * num_shards
    return SimpleNamespace(
        shard_bytes=np.full(num_shards, SHARD_SIZE),
        max_bytes=SHARD_SIZE * in_memory,
        shard_of=lambda rows: np.minimum(rows // SHARD_SIZE, num_shards),
        num_rows=num_rows + num_extra,
    )


def draw(shards, shares=None, num_drawn=200, epoch=0, rows=None):
    rows = np.arange(shards.num_rows) if rows is None else rows
    shares = np.full(len(rows), 1 / len(rows)) if shares is None else shares
    return draw_streamed(rows, shares, num_drawn, shards, np.random.default_rng([7, epoch]))


def test_an_epoch_has_every_clip_once_if_their_shares_are_equal():
    first, second = (draw(make_shards(), epoch=epoch).rows for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(200))
    assert first.tolist() != second.tolist()
    assert first.tolist() == draw(make_shards()).rows.tolist()


@pytest.mark.parametrize("in_memory", [5, 8, 100])
def test_a_stretch_and_the_next_one_fit_into_memory(in_memory):
    shards = make_shards(in_memory=in_memory)
    order = draw(shards)
    starts = [0, *order.ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, order.ends, strict=True)):
        held = set(shards.shard_of(order.rows[start:end]).tolist())
        assert held <= set(order.shards[number])
        both = {*order.shards[number], *order.following(start)}
        assert len(both) * SHARD_SIZE <= shards.max_bytes
        assert order.following(start) == order.following(end - 1)
    assert order.following(len(order.rows) - 1) == []
    assert sorted(shard for stretch in order.shards for shard in stretch) == list(range(20))


def test_clips_are_mixed_across_the_shards_of_a_stretch():
    order = draw(make_shards(in_memory=12))
    firsts = make_shards().shard_of(order.rows[: order.ends[0]])
    assert len(set(firsts.tolist())) == 5
    assert np.count_nonzero(np.diff(firsts)) > 30


def test_clips_are_drawn_by_their_shares():
    shares = np.where(np.arange(200) % 4 == 0, 3.0, 1.0)
    shares /= shares.sum()
    counts = np.zeros(200)
    for epoch in range(60):
        drawn = np.bincount(draw(make_shards(), shares, epoch=epoch).rows, minlength=200)
        assert (drawn >= np.floor(200 * shares)).all()
        assert (drawn <= np.ceil(200 * shares)).all()
        counts += drawn
    np.testing.assert_allclose(counts / 60, 200 * shares, atol=0.3)


def test_some_rows_are_drawn_more_often_than_there_are():
    rows = np.arange(0, 200, 2)
    order = draw(make_shards(), num_drawn=300, rows=rows)
    assert sorted(set(order.rows)) == rows.tolist()
    assert np.bincount(order.rows).max() == 3


def test_further_clips_are_anywhere_in_the_epoch():
    shards = make_shards(num_extra=100)
    positions = np.flatnonzero(draw(shards, num_drawn=300).rows >= 200)
    assert len(positions) == 100
    assert positions[25] < 120
    assert positions[75] > 180
