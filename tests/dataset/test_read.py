from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.dataset import read
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader, example_of_each_class, read_rows, to_array
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.splits import read_split


@pytest.fixture
def manifest(dataset_dir):
    return load_manifest(locate(dataset_dir))


def steps_of(dataset_dir, manifest, batch_size, world_size=1, epoch=0):
    """Return (clip, sum of its spectrogram, class) for each step, from all ranks together."""
    ranks = [
        SplitReader(locate(dataset_dir), manifest, "train", "cnn").batches(
            batch_size, seed=1, epoch=epoch, rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    return [
        [
            (clip_id, float(spectrogram.astype(np.float64).sum()), int(class_index))
            for part in parts
            for clip_id, spectrogram, class_index in zip(
                part.clip_ids, part.spectrograms, part.class_indices, strict=True
            )
        ]
        for parts in zip(*ranks, strict=True)
    ]


def test_a_streamed_epoch_has_every_clip_once_with_its_spectrogram_and_class(dataset_dir, manifest):
    whole = read_split(locate(dataset_dir), manifest, "train", "cnn")
    expected = Counter(
        (clip_id, float(spectrogram.astype(np.float64).sum()), int(class_index))
        for clip_id, spectrogram, class_index in zip(
            whole.clip_ids, whole.spectrograms, whole.class_indices, strict=True
        )
    )
    steps = steps_of(dataset_dir, manifest, batch_size=8)
    assert [len(step) for step in steps] == [8, 8, 8, 8]
    assert Counter(clip for step in steps for clip in step) == expected


def test_the_clips_left_over_differ_between_epochs(dataset_dir, manifest):
    epochs = [
        [clip for step in steps_of(dataset_dir, manifest, 5, epoch=epoch) for clip in step]
        for epoch in (0, 1)
    ]
    assert [len(set(clips)) for clips in epochs] == [30, 30]
    assert set(epochs[0]) != set(epochs[1])
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_the_batches_are_the_same_for_any_number_of_ranks(dataset_dir, manifest, world_size):
    assert steps_of(dataset_dir, manifest, 8, world_size) == steps_of(dataset_dir, manifest, 8)


def test_a_rank_reads_only_its_part_of_the_shards_each_once(dataset_dir, manifest, monkeypatch):
    opened = []
    original = read.read_shard

    def record_and_read(dataset, manifest, shard, *arguments, **options):
        opened.append(shard.name)
        return original(dataset, manifest, shard, *arguments, **options)

    monkeypatch.setattr(read, "read_shard", record_and_read)
    reader = SplitReader(locate(dataset_dir), manifest, "train", "cnn")
    for rank in (0, 1):
        opened.clear()
        list(reader.batches(2, seed=0, epoch=0, rank=rank, world_size=2))
        assert len(opened) == len(set(opened)) == 3  # of five; both read the middle one


def test_a_split_smaller_than_a_batch_repeats_clips(dataset_dir, manifest):
    (step,) = steps_of(dataset_dir, manifest, batch_size=40)
    assert len(step) == 40
    assert len(set(step)) == 32


def test_an_empty_split_is_refused(dataset_dir, manifest):
    with pytest.raises(UserError, match="has no clips in the split nowhere"):
        SplitReader(locate(dataset_dir), manifest, "nowhere", "cnn")


def test_streaming_detects_a_corrupt_shard(copy_of_dataset):
    corrupt = copy_of_dataset / "train" / "part-00000.parquet"
    corrupt.write_bytes(corrupt.read_bytes()[:-1000])
    reader = SplitReader(
        locate(copy_of_dataset), load_manifest(locate(copy_of_dataset)), "train", "cnn"
    )
    with pytest.raises(UserError, match="part-00000.parquet is corrupt"):
        list(reader.batches(8, seed=0, epoch=0))


def test_examples_are_training_clips_of_each_class(dataset_dir, manifest):
    examples = example_of_each_class(locate(dataset_dir), manifest, "cgan")
    clips = read_split(locate(dataset_dir), manifest, "train", "cgan")
    assert list(examples) == manifest.classes
    for class_index, example in enumerate(examples.values()):
        of_class = clips.spectrograms[clips.class_indices == class_index]
        assert any(np.array_equal(example, clip) for clip in of_class)


def test_a_split_is_read_as_arrays_and_unlabeled_clips_have_no_class(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    train = read_split(locate(dataset_dir), manifest, "train", "cgan")
    assert train.spectrograms.shape == (32, 128, 512)
    assert train.spectrograms.dtype == np.float16
    labels = [clip_id.split("/")[0] for clip_id in train.clip_ids]
    assert [manifest.classes[index] for index in train.class_indices] == labels
    test = read_split(locate(dataset_dir), manifest, "test", "cnn")
    assert test.class_indices.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("num_stored", [345, 512], ids=["this version", "earlier ones"])
def test_frames_behind_the_clips_are_zeros_whether_they_are_stored_or_not(num_stored):
    values = np.random.default_rng(0).random((3, 128, 512)).astype(np.float16)
    values[:, :, 345:] = 0
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(values[:, :, :num_stored].copy())
    assert np.array_equal(to_array(pa.chunked_array([column]), CGAN_VIEW), values)


def test_a_corrupt_or_missing_shard_is_named(copy_of_dataset):
    shard = copy_of_dataset / "validation" / "part-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    manifest = load_manifest(locate(copy_of_dataset))
    with pytest.raises(UserError, match="validation/part-00000.parquet is corrupt"):
        read_split(locate(copy_of_dataset), manifest, "validation", "cnn")
    shard.write_bytes(content[:-1000])
    with pytest.raises(UserError, match="validation/part-00000.parquet is corrupt"):
        read_rows(locate(copy_of_dataset), manifest)
    shard.unlink()
    with pytest.raises(UserError, match="validation/part-00000.parquet is missing"):
        read_rows(locate(copy_of_dataset), manifest)
    with pytest.raises(UserError, match="validation/part-00000.parquet is missing"):
        read_split(locate(copy_of_dataset), manifest, "validation", "cnn")


def test_rows_are_in_the_order_of_the_spectrograms_for_one_split_or_all(dataset_dir, manifest):
    train = read_rows(locate(dataset_dir), manifest, "train")
    whole = read_split(locate(dataset_dir), manifest, "train", "cnn")
    assert train["clip_id"].tolist() == whole.clip_ids
    rows = read_rows(locate(dataset_dir), manifest)
    assert rows["split"].value_counts(sort=False).to_dict() == manifest.num_rows
