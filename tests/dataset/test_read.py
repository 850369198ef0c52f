from collections import Counter

import numpy as np
import pytest

from freqquest.dataset import read
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.order import num_steps, rank_slice
from freqquest.dataset.read import (
    SplitReader,
    epoch_order,
    example_of_each_class,
    read_split,
    verify_dataset,
)
from freqquest.errors import UserError
from freqquest.storage import locate


@pytest.fixture
def manifest(dataset_dir):
    return load_manifest(locate(dataset_dir))


def steps_of(dataset_dir, manifest, batch_size, world_size=1, epoch=0):
    """Each step's clips, as all ranks together see them: (clip, sum of its spectrogram, class)."""
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


def test_an_epochs_order_is_a_permutation_given_by_seed_and_epoch():
    order = epoch_order(100, seed=1, epoch=2)
    assert sorted(order) == list(range(100))
    np.testing.assert_array_equal(order, epoch_order(100, seed=1, epoch=2))
    assert (order != epoch_order(100, seed=1, epoch=3)).any()
    assert (order != epoch_order(100, seed=2, epoch=2)).any()


def test_a_streamed_epoch_holds_every_clip_once_with_its_own_spectrogram_and_class(
    dataset_dir, manifest
):
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


def test_clips_left_over_are_others_in_each_epoch(dataset_dir, manifest):
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


def test_a_rank_reads_only_its_part_of_the_shards_and_each_once(dataset_dir, manifest, monkeypatch):
    opened = []
    original = read.read_shard

    def noted(dataset, shard, *arguments, **options):
        opened.append(shard.name)
        return original(dataset, shard, *arguments, **options)

    monkeypatch.setattr(read, "read_shard", noted)
    reader = SplitReader(locate(dataset_dir), manifest, "train", "cnn")
    for rank in (0, 1):
        opened.clear()
        list(reader.batches(2, seed=0, epoch=0, rank=rank, world_size=2))
        assert len(opened) == len(set(opened)) == 3  # of five, the middle one belongs to both


def test_few_clips_are_repeated_to_fill_a_batch(dataset_dir, manifest):
    (step,) = steps_of(dataset_dir, manifest, batch_size=40)
    assert len(step) == 40
    assert len(set(step)) == 32
    assert num_steps(1155, 16) == 72
    assert num_steps(3, 16) == 1


def test_parts_of_a_batch_are_equal_within_one_and_cover_it():
    parts = [rank_slice(16, rank, 3) for rank in range(3)]
    assert [len(part) for part in parts] == [5, 5, 6]
    assert [place for part in parts for place in part] == list(range(16))


def test_an_empty_split_is_refused(dataset_dir, manifest):
    with pytest.raises(UserError, match="has no clips in its split nowhere"):
        SplitReader(locate(dataset_dir), manifest, "nowhere", "cnn")


def test_verifying_names_every_shard_that_is_not_whole(copy_of_dataset):
    assert "7 shards are whole" in verify_dataset(str(copy_of_dataset))
    damaged = copy_of_dataset / "train" / "part-00002.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (copy_of_dataset / "validation" / "part-00000.parquet").unlink()
    with pytest.raises(UserError) as caught:
        verify_dataset(str(copy_of_dataset))
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 7 shards are not whole:"
    assert "train/part-00002.parquet is damaged" in lines[1]
    assert "validation/part-00000.parquet is missing" in lines[2]


def test_streaming_finds_damage_too(copy_of_dataset):
    damaged = copy_of_dataset / "train" / "part-00000.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    reader = SplitReader(
        locate(copy_of_dataset), load_manifest(locate(copy_of_dataset)), "train", "cnn"
    )
    with pytest.raises(UserError, match="part-00000.parquet is damaged"):
        list(reader.batches(8, seed=0, epoch=0))


def test_examples_are_a_training_clip_of_each_class(dataset_dir, manifest):
    examples = example_of_each_class(locate(dataset_dir), manifest, "cgan")
    clips = read_split(locate(dataset_dir), manifest, "train", "cgan")
    assert list(examples) == manifest.classes
    for class_index, example in enumerate(examples.values()):
        of_class = clips.spectrograms[clips.class_indices == class_index]
        assert any(np.array_equal(example, clip) for clip in of_class)
