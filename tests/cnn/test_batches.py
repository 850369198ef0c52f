from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from freqquest.cnn.batches import TrainingBatches
from freqquest.cnn.config import PRESETS
from freqquest.dataset.sharded_spectrograms import ShardedSpectrograms
from freqquest.storage import locate
from tests.cnn.conftest import make_clips, make_clips_of_several_labels


def test_an_epoch_has_every_clip_once_in_a_new_order():
    clips = make_clips()
    clips.spectrograms[:] = -np.arange(32)[:, None, None]  # a clip's number in each of its values
    batches = TrainingBatches(
        clips, np.arange(32), replace(PRESETS["reference"], batch_size=10), seed=1
    )

    def epoch() -> list[int]:
        items = [batches[index] for index in range(len(batches))]
        assert [targets.shape for _, targets in items] == [(10, 2), (10, 2), (10, 2), (2, 2)]
        assert items[0][0].shape == (10, 16, 20, 1)
        assert items[0][0].dtype == np.float32
        numbers = [-int(clip[0, 0, 0]) for batch, _ in items for clip in batch]
        chosen = np.concatenate([targets.argmax(axis=1) for _, targets in items])
        assert (chosen == clips.class_indices[numbers]).all()
        return numbers

    first = epoch()
    batches.on_epoch_end()
    second = epoch()
    assert sorted(first) == sorted(second) == list(range(32))
    assert first != second


def test_one_version_of_each_clip_is_drawn_or_all_are_used():
    clips = make_clips(num_copies=2)
    rows = np.arange(len(clips.class_indices))
    drawn = TrainingBatches(
        clips, rows, replace(PRESETS["default"], batch_size=32, min_steps=0), seed=0
    )
    every_copy = TrainingBatches(clips, rows, replace(PRESETS["reference"], batch_size=32), seed=0)
    assert (len(drawn), len(every_copy)) == (1, 3)
    order = drawn.order_of(0)
    assert sorted(clips.clip_ids[order]) == sorted(set(clips.clip_ids))
    assert clips.is_training_only[order].any()


def test_clips_of_long_recordings_are_drawn_less_often_and_classes_keep_their_shares():
    clips = make_clips(num_recordings=4, clips_per_recording=8)
    # Eight clips of one class, then six of the other.
    recordings = np.asarray(clips.recordings, object)
    recordings[:14] = [*["long"] * 7, "short", *["other"] * 6]
    clips = replace(clips, recordings=pd.Categorical(recordings))
    config = replace(
        PRESETS["default"], recording_balance=1.0, class_balance=False, batch_size=32, min_steps=0
    )
    batches = TrainingBatches(clips, np.arange(32), config, seed=0)
    drawn = []
    for epoch in range(50):
        order = batches.order_of(epoch)
        drawn += list(order)
        assert 14 <= np.bincount(clips.class_indices[order])[0] <= 18
    counts = np.bincount(drawn, minlength=32)
    assert counts[7] == pytest.approx(7 * counts[:7].mean(), rel=0.1)


def test_a_rare_class_is_drawn_as_often_as_the_others():
    clips = make_clips(num_recordings=4, clips_per_recording=8)
    only_first = (clips.class_indices != 0) | (np.arange(32) == 0)
    rows = np.flatnonzero(only_first)  # one clip of the first class
    config = replace(PRESETS["default"], recording_balance=0.0, batch_size=32, min_steps=3)
    drawn = np.bincount(
        clips.class_indices[TrainingBatches(clips, rows, config, seed=0).order_of(0)]
    )
    assert drawn.max() - drawn.min() <= 1
    config = replace(config, class_balance=False)
    drawn = np.bincount(
        clips.class_indices[TrainingBatches(clips, rows, config, seed=0).order_of(0)]
    )
    assert drawn[0] < drawn[1] / 4


def test_few_clips_are_repeated_within_an_epoch(clips):
    config = replace(PRESETS["default"], recording_balance=0.0, batch_size=8, min_steps=12)
    batches = TrainingBatches(clips, np.arange(32), config, seed=0)
    assert len(batches) == 12
    assert np.bincount(batches.order_of(0)).tolist() == [3] * 32
    assert batches[11][0].shape == (8, 16, 20, 1)
    many = TrainingBatches(clips, np.arange(32), replace(config, batch_size=9, min_steps=2), seed=0)
    assert [len(targets) for _, targets in (many[step] for step in range(len(many)))] == [9, 9, 9]


def test_threads_prepare_the_same_batches_ahead_even_of_the_next_epoch(clips):
    config = replace(PRESETS["default"], batch_size=8, min_steps=5)
    plain, ahead = (
        TrainingBatches(clips, np.arange(32), config, seed=3, num_threads=number)
        for number in (0, 3)
    )
    _ = ahead[0]  # Keras looks at a batch, and begins the first epoch only then
    for epoch in range(1, 4):
        plain.on_epoch_end()
        ahead.on_epoch_end()
        for step in range(5):
            for values, expected in zip(ahead[step], plain[step], strict=True):
                np.testing.assert_array_equal(values, expected)
        assert min(ahead._ahead) == 5 * (epoch + 1)
    ahead.close()
    assert ahead[0][0].shape == (8, 16, 20, 1)


def test_targets_have_all_labels_and_mixup_mixes_them():
    clips = make_clips_of_several_labels()
    clips.spectrograms[:] = -np.arange(32)[:, None, None]  # a clip's number in each of its values
    plain = TrainingBatches(clips, np.arange(32), replace(PRESETS["reference"], batch_size=32), 0)
    spectrograms, targets = plain[0]
    np.testing.assert_array_equal(targets, clips.labels[-spectrograms[:, 0, 0, 0].astype(int)])
    mixing = replace(PRESETS["reference"], batch_size=32, mixup=1.0)
    _, mixed = TrainingBatches(clips, np.arange(32), mixing, 0)[0]
    np.testing.assert_allclose(mixed.sum(axis=0), targets.sum(axis=0), rtol=0.3)
    assert ((mixed > 0) & (mixed < 1)).any()
    assert (mixed == 1).all(axis=1).any()  # two clips with both labels


def test_clips_are_drawn_by_their_rarest_label():
    clips = make_clips_of_several_labels(num_recordings=12)
    rarest = clips.labels.sum(axis=0).argmin()
    config = replace(PRESETS["default"], recording_balance=0.0, batch_size=48, min_steps=2)
    drawn = TrainingBatches(clips, np.arange(48), config, seed=0).order_of(0)
    assert clips.labels[drawn, rarest].mean() == pytest.approx(0.5, abs=0.02)


def streamed(clips, tmp_path):
    """The same clips, of which only a part is in memory at a time."""
    size = 4
    starts = range(0, len(clips.spectrograms), size)
    source = SimpleNamespace(num_mels=16, num_frames=20)
    shards = [SimpleNamespace(num_rows=size) for _ in starts]
    spectrograms = ShardedSpectrograms(
        locate(tmp_path),
        SimpleNamespace(views={"cnn": source}),
        shards,
        "cnn",
        max_bytes=4 * size * 16 * 20 * 2,
    )
    spectrograms._read = lambda number: clips.spectrograms[number * size :][:size]
    return replace(clips, spectrograms=spectrograms)


@pytest.mark.parametrize("num_threads", [0, 2])
def test_batches_from_shards_have_the_same_clips_with_their_labels(tmp_path, num_threads):
    clips = make_clips()
    clips.spectrograms[:] = -np.arange(32)[:, None, None]
    config = replace(PRESETS["reference"], batch_size=10)
    batches = TrainingBatches(streamed(clips, tmp_path), np.arange(32), config, 1, num_threads)
    with closing(batches):
        for _ in range(2):
            numbers = []
            for index in range(len(batches)):
                spectrograms, targets = batches[index]
                found = [-int(clip[0, 0, 0]) for clip in spectrograms]
                assert (targets.argmax(axis=1) == clips.class_indices[found]).all()
                numbers += found
            assert sorted(numbers) == list(range(32))
            batches.on_epoch_end()


def test_one_version_of_each_clip_is_drawn_from_shards(tmp_path):
    clips = streamed(make_clips(num_copies=2), tmp_path)
    config = replace(
        PRESETS["default"], batch_size=32, min_steps=0, recording_balance=0.0, class_balance=False
    )
    batches = TrainingBatches(clips, np.arange(96), config, seed=0)
    epochs = [batches._rows_of(epoch, 0) for epoch in range(30)]
    for rows in epochs:
        assert sorted(clips.clip_ids.codes[rows]) == list(range(32))
    assert clips.is_training_only[np.concatenate(epochs)].mean() == pytest.approx(2 / 3, abs=0.05)


def test_each_shard_is_read_once_in_an_epoch(tmp_path):
    clips = streamed(make_clips(num_recordings=16), tmp_path)  # 16 shards, four in memory
    reads, read = [], clips.spectrograms._read
    clips.spectrograms._read = lambda number: reads.append(number) or read(number)
    config = replace(PRESETS["reference"], batch_size=3)
    batches = TrainingBatches(clips, np.arange(64), config, seed=1)
    for step in range(len(batches)):
        batches[step]
    assert len(reads) <= 17  # a batch may begin in one stretch and end in the next
    assert set(reads) == set(range(16))


def test_an_error_of_a_batch_is_kept(tmp_path):
    clips = streamed(make_clips(), tmp_path)

    def fail(_):
        raise OSError("storage is gone")

    clips.spectrograms._read = fail
    batches = TrainingBatches(clips, np.arange(32), PRESETS["reference"], seed=1)
    with pytest.raises(OSError, match="storage is gone"):
        batches[0]
    assert str(batches.failure) == "storage is gone"
