import pandas as pd
import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.sources import find_labeled
from freqquest.dataset.split import assign_splits
from freqquest.errors import UserError


def config(**settings):
    return PreprocessConfig(audio_dir="unused", dataset_dir="unused", **settings)


def table(recordings_per_class, clips_per_recording=3, folds=None):
    rows = [
        {"clip_id": f"{label}{recording}{clip}", "label": label, "recording": f"{label}{recording}"}
        for label, count in recordings_per_class.items()
        for recording in range(count)
        for clip in range(clips_per_recording)
    ]
    clips = pd.DataFrame(rows)
    fold_of = folds or (lambda recording: pd.NA)
    return clips.assign(fold=[fold_of(int(name[1:])) for name in clips["recording"]], split=None)


def recordings_in(clips, splits, split):
    return set(clips["recording"][splits == split])


@pytest.mark.parametrize("seed", range(5))
def test_no_recording_is_in_two_splits_and_every_class_is_in_both(seed):
    clips = table({"a": 10, "b": 3, "c": 2})
    splits, description = assign_splits(clips, config(seed=seed))
    assert not recordings_in(clips, splits, "train") & recordings_in(clips, splits, "validation")
    for split in ("train", "validation"):
        assert set(clips["label"][splits == split]) == {"a", "b", "c"}
    assert 0.1 < (splits == "validation").mean() < 0.35
    assert description == "recordings unseen in training"


@pytest.mark.parametrize("num_recordings", [2, 3, 4])
def test_few_recordings_of_many_classes_are_split_too(num_recordings):
    clips = table(dict.fromkeys("abcde", num_recordings))
    splits, _ = assign_splits(clips, config())
    assert not recordings_in(clips, splits, "train") & recordings_in(clips, splits, "validation")
    for split in ("train", "validation"):
        assert set(clips["label"][splits == split]) == set("abcde")


def test_no_recording_of_the_real_clips_is_in_two_splits(real_data):
    clips = find_labeled(
        config(metadata=str(real_data / "metadata.csv")), str(real_data / "train")
    ).clips
    for table_of_clips in (clips, clips.assign(fold=pd.NA)):
        splits, _ = assign_splits(table_of_clips, config())
        assert not recordings_in(clips, splits, "train") & recordings_in(
            clips, splits, "validation"
        )


def test_a_whole_fold_validates_if_there_are_folds():
    clips = table(
        {"a": 10, "b": 10}, folds=lambda recording: 1 + (recording >= 2) + (recording >= 5)
    )
    splits, description = assign_splits(clips, config())
    assert set(clips["fold"][splits == "validation"]) == {
        1
    }  # two of ten recordings: the configured fraction
    assert description == "fold 1, recordings unseen in training"
    splits, _ = assign_splits(clips, config(validation_fold=3))
    assert set(clips["fold"][splits == "validation"]) == {3}


def test_unknown_recordings_are_in_the_description():
    clips = table({"a": 10, "b": 10}, clips_per_recording=1)
    clips["recording"] = clips["clip_id"]
    _, description = assign_splits(clips, config())
    assert description == (
        "clips unseen in training, but the recording of 20 of 20 clips is unknown: "
        "other clips of it may be in training"
    )


def test_folds_of_only_some_clips_are_refused():
    clips = table({"a": 4, "b": 4}, folds=lambda recording: 1 + recording % 2)
    clips.loc[3, "fold"] = pd.NA
    with pytest.raises(UserError, match="`metadata` has no fold for a10, but for others"):
        assign_splits(clips, config())


def test_the_random_split_is_stratified_and_its_description_warns():
    clips = table({"a": 10, "b": 10})
    splits, description = assign_splits(clips, config(split="random"))
    assert (splits == "validation").groupby(clips["label"]).sum().tolist() == [6, 6]
    assert recordings_in(clips, splits, "train") & recordings_in(clips, splits, "validation")
    assert "accuracy measures memory" in description


def test_the_seed_decides_the_split():
    clips = table({"a": 10, "b": 10})
    first, again, other = (assign_splits(clips, config(seed=seed))[0] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("clips", "settings", "message"),
    [
        (table({"a": 5, "b": 1}), {}, "class b has only one recording.*`split=random`"),
        (
            table({"a": 5, "b": 1}, clips_per_recording=1),
            {"split": "random"},
            "class b has only one clip",
        ),
        (
            table({"a": 5, "b": 5}),
            {"validation_fold": 1},
            "`validation_fold=1` needs `metadata` with at least two",
        ),
        (
            table({"a": 4, "b": 4}, folds=lambda recording: 1 + recording % 2),
            {"validation_fold": 9},
            "`validation_fold=9` must be one of: 1, 2",
        ),
    ],
    ids=["one recording", "one clip", "no folds", "unknown fold"],
)
def test_splits_that_cannot_be_made_are_refused(clips, settings, message):
    with pytest.raises(UserError, match=message):
        assign_splits(clips, config(**settings))


def test_folds_that_divide_a_recording_are_refused():
    clips = table({"a": 4, "b": 4}, folds=lambda recording: 1 + recording % 2)
    clips.loc[0, "fold"] = 2
    with pytest.raises(
        UserError, match="recording a0 has clips in train and validation: correct the column"
    ):
        assign_splits(clips, config())


def given(clips, **split_of_recording):
    return clips.assign(
        split=[split_of_recording.get(name, "train") for name in clips["recording"]]
    )


def test_splits_of_the_metadata_are_kept():
    clips = given(table({"a": 3, "b": 3}), a1="validation", b2="validation", a2="test")
    splits, description = assign_splits(clips, config())
    assert splits.equals(clips["split"])
    assert description == "split of the metadata, recordings unseen in training"


def test_test_clips_of_the_metadata_stay_out_of_the_split():
    clips = table({"a": 4, "b": 4})
    clips["split"] = clips["split"].where(clips["recording"] != "a0", "test")
    splits, _ = assign_splits(clips, config())
    assert recordings_in(clips, splits, "test") == {"a0"}
    assert recordings_in(clips, splits, "train") | recordings_in(clips, splits, "validation") == {
        *("a1", "a2", "a3", "b0", "b1", "b2", "b3")
    }


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (
            given(table({"a": 3, "b": 3}), a1="validation"),
            "`metadata` puts no clip of class b into validation",
        ),
        (
            given(table({"a": 3, "b": 3}), a1="validation", b1=None),
            "has no split for b10, but for others",
        ),
    ],
)
def test_invalid_splits_of_the_metadata_are_refused(clips, message):
    with pytest.raises(UserError, match=message):
        assign_splits(clips, config())


def test_a_recording_in_training_and_test_is_refused():
    clips = given(table({"a": 3, "b": 3}), a1="validation", b2="validation")
    clips.loc[0, "split"] = "test"
    with pytest.raises(UserError, match="recording a0 has clips in test and train"):
        assign_splits(clips, config())
