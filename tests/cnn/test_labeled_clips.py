from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from freqquest.cnn.labeled_clips import (
    add_extra,
    all_clips,
    cross_validation,
    dataset_split,
    hold_out,
    load_labeled,
)
from freqquest.cnn.leakage_audit import RANDOM, RECORDING, audit_splits
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.sharded_spectrograms import ShardedSpectrograms
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import make_clips, make_clips_of_several_labels
from tests.splits import read_split


def test_a_dataset_is_read_with_the_columns_of_its_clips(dataset_dir):
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    clips = load_labeled(dataset, manifest)
    splits = [read_split(dataset, manifest, split, "cnn") for split in ("train", "validation")]
    np.testing.assert_array_equal(
        clips.spectrograms, np.concatenate([split.spectrograms for split in splits])
    )
    assert clips.spectrograms.shape == (20 + 16, 128, 173)
    assert clips.is_training_only.sum() == 16
    assert clips.is_validation.sum() == 4
    assert not (clips.is_training_only & clips.is_validation).any()
    assert clips.classes == ("high", "low")
    assert [path.rsplit("/", 1)[1] for path in clips.paths] == [
        name.rsplit("/", 1)[1] for name in clips.clip_ids
    ]
    assert [name.split("/")[0] for name in clips.clip_ids] == [
        clips.classes[index] for index in clips.class_indices
    ]
    np.testing.assert_array_equal(clips.groups, clips.recordings)  # there are no folds
    np.testing.assert_array_equal(clips.labels, np.eye(2, dtype=bool)[clips.class_indices])
    assert not clips.has_several_labels


def test_a_dataset_that_is_too_large_stays_in_its_shards(embedded_dataset_dir):
    dataset = locate(embedded_dataset_dir)
    manifest = load_manifest(dataset)
    whole, streamed = (load_labeled(dataset, manifest, limit) for limit in (2**30, 2**20))
    assert isinstance(streamed.spectrograms, ShardedSpectrograms)
    np.testing.assert_array_equal(streamed.spectrograms[:], whole.spectrograms)
    np.testing.assert_array_equal(streamed.vectors, whole.vectors)
    np.testing.assert_array_equal(streamed.labels, whole.labels)
    rows = np.flatnonzero(whole.is_validation)
    read, expected = (each.inputs(rows).spectrograms for each in (streamed, whole))
    assert read.shape == expected.shape
    np.testing.assert_array_equal(read[0:3], expected[0:3])


def test_vectors_are_read_in_the_order_of_the_clips(embedded_dataset_dir):
    dataset = locate(embedded_dataset_dir)
    manifest = load_manifest(dataset)
    clips = load_labeled(dataset, manifest)
    splits = [read_split(dataset, manifest, split, "cnn") for split in ("train", "validation")]
    np.testing.assert_array_equal(clips.vectors, np.concatenate([s.vectors for s in splits]))
    assert (clips.vectors.shape, clips.vectors.dtype) == ((36, 3), np.float32)


def test_extra_clips_bring_their_vectors(clips):
    num_clips = len(clips.class_indices)
    clips = replace(clips, vectors=np.zeros((num_clips, 4), np.float32))
    extra = pd.DataFrame({"path": ["/made/0.wav"], "label": ["clicks"]})
    inputs = Inputs(np.zeros((1, 16, 20), np.float32), np.ones((1, 4), np.float32))
    joined = add_extra(clips, extra, inputs)
    assert joined.vectors.shape == (num_clips + 1, 4)
    assert joined.vectors[-1].tolist() == [1] * 4
    assert with_extra(make_clips()).vectors is None


def test_cross_validation_holds_out_every_clip_once_and_divides_no_recording():
    clips = make_clips(num_recordings=12)
    splits = cross_validation(clips, 3, seed=0)
    held_out = np.concatenate([split.validation for split in splits])
    assert sorted(held_out) == list(range(len(clips.class_indices)))
    for split in splits:
        assert not set(clips.recordings[split.train]) & set(clips.recordings[split.validation])
        assert len(split.train) + len(split.validation) == len(clips.class_indices)
        assert set(clips.class_indices[split.validation]) == {0, 1}


def test_folds_have_a_share_of_each_of_several_labels():
    clips = make_clips_of_several_labels(num_recordings=12)
    for split in cross_validation(clips, 3, seed=0):
        shares = clips.labels[split.validation].sum(axis=0) / clips.labels.sum(axis=0)
        np.testing.assert_allclose(shares, 1 / 3, atol=0.1)
        assert not set(clips.recordings[split.train]) & set(clips.recordings[split.validation])


def test_cross_validation_uses_the_datasets_own_folds():
    clips = make_clips(num_recordings=12, folds=3)
    splits = cross_validation(clips, 3, seed=0)
    assert [set(clips.groups[split.validation]) for split in splits] == [{"1"}, {"2"}, {"3"}]
    for split in cross_validation(clips, 2, seed=0):  # joins whole folds
        assert not set(clips.groups[split.train]) & set(clips.groups[split.validation])


def test_more_folds_than_recordings_of_a_class_are_refused():
    with pytest.raises(
        UserError,
        match="`num_folds=5` needs as many recordings .* class clicks has 4: use at most 4 folds",
    ):
        cross_validation(make_clips(num_recordings=8), 5, seed=0)


def test_folds_that_divide_a_recording_are_refused_with_its_name():
    clips = make_clips(num_recordings=12, folds=3)
    recordings, groups = (np.asarray(each, object) for each in (clips.recordings, clips.groups))
    recordings[:8], groups[:4] = "both", "2"
    clips = replace(clips, recordings=pd.Categorical(recordings), groups=pd.Categorical(groups))
    with pytest.raises(UserError, match="recording both is in 2 folds: correct the metadata"):
        cross_validation(clips, 3, seed=0)


def test_augmented_copies_are_for_training_only_and_never_of_a_held_out_clip():
    clips = make_clips(num_copies=2)
    split = hold_out(clips, np.array([0, 5]))
    assert split.validation.tolist() == [0, 5]
    assert not {"clip0", "clip5"} & set(clips.clip_ids[split.train])
    assert clips.is_training_only[split.train].sum() == 2 * (32 - 2)
    assert len(all_clips(clips).train) == len(clips.class_indices)
    assert len(all_clips(clips).validation) == 0


def test_the_datasets_own_split_is_kept(clips):
    split = dataset_split(clips)
    assert clips.is_validation[split.validation].all()
    assert not clips.is_validation[split.train].any()


def with_extra(clips, num_extra=5):
    extra = pd.DataFrame(
        {"path": [f"/made/{number}.wav" for number in range(num_extra)], "label": "clicks"}
    )
    return add_extra(clips, extra, Inputs(np.full((num_extra, 16, 20), -7.0, np.float32)))


@pytest.mark.parametrize("folds", [0, 4], ids=["recordings", "folds"])
def test_extra_clips_are_always_trained_on_and_never_evaluated(folds):
    plain = make_clips(num_recordings=16, num_copies=1, folds=folds)
    clips = with_extra(plain)
    extra = set(range(len(plain.class_indices), len(clips.class_indices)))
    audit, plain_audit = audit_splits(clips, seed=0), audit_splits(plain, seed=0)
    splits = [
        dataset_split(clips),
        all_clips(clips),
        *cross_validation(clips, 3, seed=0),
        audit[RANDOM],
        audit[RECORDING],
    ]
    without = [dataset_split(plain), all_clips(plain), *cross_validation(plain, 3, seed=0)]
    without += [plain_audit[RANDOM], plain_audit[RECORDING]]
    for split, same in zip(splits, without, strict=True):
        assert extra <= set(split.train)
        np.testing.assert_array_equal(split.validation, same.validation)
        assert sorted(set(split.train) - extra) == sorted(same.train)


def test_extra_clips_keep_their_class_and_count_as_one_recording_each(clips):
    joined = with_extra(clips)
    np.testing.assert_array_equal(joined.labels[-5:], [[False, True]] * 5)
    assert {joined.classes[index] for index in joined.class_indices[-5:]} == {"clicks"}
    assert joined.spectrograms.dtype == np.float16
    assert (joined.spectrograms[-5:] == -7).all()
    assert len(set(joined.recordings[-5:]) - set(clips.recordings)) == 5
    assert joined.recordings[-1] == "extra clip /made/4.wav"
    assert joined.start_s[-1] == 0
    assert np.isnan(joined.end_s[-1])
    assert joined.normalization == clips.normalization


def test_extra_clips_do_not_count_as_recordings_for_cross_validation():
    with pytest.raises(UserError, match="class clicks has 4"):
        cross_validation(with_extra(make_clips(num_recordings=8), num_extra=20), 5, seed=0)


def test_clips_of_the_dataset_are_refused_as_extra_clips(clips):
    extra = pd.DataFrame({"path": ["nowhere.wav"], "label": ["clicks"]})
    with pytest.raises(UserError, match="`extra_clips`: nowhere.wav is in the dataset already"):
        add_extra(clips, extra, Inputs(np.zeros((1, 16, 20), np.float16)))
