import subprocess
import sys

import numpy as np
import pytest

from freqquest.dataset.dataset import Dataset
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate, upload_dir
from tests.splits import read_split


@pytest.fixture
def dataset(dataset_dir):
    return Dataset.open(dataset_dir)


def test_a_dataset_has_classes_a_manifest_and_a_table_of_all_clips(dataset, dataset_dir):
    assert dataset.classes == ["high", "low"]
    assert dataset.manifest == load_manifest(locate(dataset_dir))
    assert repr(dataset) == f"Dataset('{dataset_dir}': 32 train, 4 validation, 3 test)"
    table = dataset.to_pandas()
    assert len(table) == 39
    assert {"clip_id", "path", "label", "recording", "split"} <= set(table.columns)
    assert "cnn" not in table.columns


@pytest.mark.parametrize("view", ["cnn", "cgan"])
def test_iterating_a_split_yields_its_clips_in_the_order_of_its_table(dataset, dataset_dir, view):
    split = dataset.split("train", view=view)
    clips = list(split)
    assert len(split) == len(clips) == 32
    assert [clip.clip_id for clip in clips] == split.to_pandas()["clip_id"].tolist()
    stored = read_split(locate(dataset_dir), dataset.manifest, "train", view).spectrograms
    np.testing.assert_array_equal(np.stack([clip.spectrogram for clip in clips]), stored)
    clip = clips[0]
    assert clip.spectrogram.dtype == np.float16
    assert clip.label == dataset.classes[clip.class_index] == clip.clip_id.split("/")[0]
    assert clip.path.endswith(clip.clip_id)
    assert clip.split == "train"
    assert {clip.augmentation for clip in clips} == {"none", "pitch speed, copy 1"}


def test_iterating_reads_one_shard_at_a_time(copy_of_dataset):
    (copy_of_dataset / "train" / "part-00001.parquet").unlink()
    clips = iter(Dataset.open(copy_of_dataset).split("train"))
    assert len([next(clips) for _ in range(7)]) == 7  # the first shard
    with pytest.raises(UserError, match="part-00001.parquet is missing"):
        next(clips)


def test_unlabeled_clips_have_no_label(dataset):
    for clip in dataset.split("test"):
        assert clip.label is None
        assert clip.class_index == -1
        assert clip.fold is None


def test_batches_are_an_epoch_in_an_order_given_by_the_seed(dataset):
    split = dataset.split("train")
    epoch = [batch.clip_ids for batch in split.batches(8, seed=1, epoch=0)]
    assert [len(clip_ids) for clip_ids in epoch] == [8, 8, 8, 8]
    assert epoch == [batch.clip_ids for batch in split.batches(8, seed=1, epoch=0)]
    assert epoch != [batch.clip_ids for batch in split.batches(8, seed=1, epoch=1)]
    ranks = [list(split.batches(8, seed=1, epoch=0, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [[*a.clip_ids, *b.clip_ids] for a, b in zip(*ranks, strict=True)] == epoch


def test_what_does_not_exist_is_refused_with_the_choices(dataset, tmp_path):
    with pytest.raises(UserError, match="`name=dev` must be one of: train, validation, test"):
        dataset.split("dev")
    with pytest.raises(UserError, match="`view=mfcc` must be one of: cnn, cgan"):
        dataset.split("train", view="mfcc")
    with pytest.raises(UserError, match="`batch_size=0` must be 1 or more"):
        dataset.split("train").batches(0, seed=0, epoch=0)
    with pytest.raises(UserError, match="`world_size=2` must be from 1 to 1, the clips of a batch"):
        dataset.split("train").batches(1, seed=0, epoch=0, world_size=2)
    with pytest.raises(UserError, match="`rank=2` must be from 0 to 1"):
        dataset.split("train").batches(4, seed=0, epoch=0, rank=2, world_size=2)
    with pytest.raises(UserError, match="is not a dataset"):
        Dataset.open(tmp_path)


def test_a_dataset_may_lie_in_remote_storage(dataset_dir, s3_clips):
    upload_dir(dataset_dir, locate("s3://bucket/dataset"))
    clip = next(iter(Dataset.open("s3://bucket/dataset").split("validation", view="cgan")))
    assert clip.spectrogram.shape == (128, 512)


def test_reading_a_dataset_loads_neither_ray_nor_a_framework(dataset_dir):
    code = f"""
import sys
from freqquest.dataset.dataset import Dataset
split = Dataset.open({str(dataset_dir)!r}).split("validation")
print(len(list(split)), {{"ray", "tensorflow", "torch", "matplotlib"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4 set()"
