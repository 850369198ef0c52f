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
    shares = (splits == "validation").groupby(clips["label"]).mean()
    assert shares.tolist() == pytest.approx([0.2, 1 / 3, 0.5])
    assert description == (
        "recordings unseen in training (0.5 of the c clips instead of 0.2: the class has 2 "
        "recordings; also far: b)"
    )


def mixed(counts):
    """A table of recordings that have clips of several classes, by recording and class."""
    rows = [
        {"clip_id": f"{label}-{recording}-{clip}", "label": label, "recording": recording}
        for recording, labels in counts.items()
        for label, count in labels.items()
        for clip in range(count)
    ]
    return pd.DataFrame(rows).assign(fold=pd.NA, split=None)


@pytest.mark.parametrize("num_recordings", [2, 3, 4])
def test_few_recordings_with_clips_of_every_class_are_split(num_recordings):
    clips = mixed({f"site{number}": {"a": 6, "b": 9} for number in range(num_recordings)})
    splits, description = assign_splits(clips, config())
    assert len(recordings_in(clips, splits, "validation")) == 1
    assert not recordings_in(clips, splits, "train") & recordings_in(clips, splits, "validation")
    assert ("instead of 0.2: the class has" in description) == (num_recordings < 4)


@pytest.mark.parametrize(
    ("counts", "fraction", "shares", "note"),
    [
        (
            {f"r{number}": {"a": 4} for number in range(10)} | {"s": {"b": 1}, "t": {"b": 1}},
            0.2,
            [0.2, 0.5],
            " (0.5 of the b clips instead of 0.2: the class has 2 recordings)",
        ),
        (
            {"huge": {"a": 90}, "r": {"a": 10}, **{f"s{number}": {"b": 1} for number in range(5)}},
            0.2,
            [0.1, 0.2],
            "",
        ),
        (
            {"huge": {"a": 97}, "r": {"a": 3}, **{f"s{number}": {"b": 1} for number in range(5)}},
            0.2,
            [0.03, 0.2],
            " (0.03 of the a clips instead of 0.2: one of its 2 recordings has 0.97 of its clips)",
        ),
        (
            {f"r{number}": {"a": 1, "b": 1} for number in range(20)}
            | {f"s{number}": {"c": 1, "b": 9} for number in range(2)},
            0.5,
            [0.5, 0.5, 0.5],
            "",
        ),
        (
            {f"r{number}": {"a": 3, "b": 5} for number in range(10)},
            0.01,
            [0.1, 0.1],
            " (0.1 of the a clips instead of 0.01: the class has 10 recordings; also far: b)",
        ),
        ({f"r{number}": {"a": 3, "b": 5} for number in range(10)}, 0.9, [0.9, 0.9], ""),
        (
            {"r": {"a": 1}, "s": {"a": 1}},
            0.2,
            [0.5],
            " (0.5 of the a clips instead of 0.2: the class has 2 recordings)",
        ),
        (
            {f"r{number}": {"a": 1} for number in range(20)}
            | {f"s{number}": {"b": 10, "c": 1} for number in range(2)}
            | {f"t{number}": {"b": 1} for number in range(20)},
            0.2,
            [0.2, 0.25, 0.5],
            " (0.5 of the c clips instead of 0.2: the class has 2 recordings)",
        ),
    ],
    ids=[
        *("a rare class", "a large recording", "a huge recording", "shared recordings"),
        *("a small fraction", "a large fraction", "two clips in all", "a class within another"),
    ],
)
def test_a_split_is_as_near_as_possible_to_the_fraction_and_says_why_it_is_far(
    counts, fraction, shares, note
):
    clips = mixed(counts)
    splits, description = assign_splits(clips, config(validation_fraction=fraction))
    is_validation = splits == "validation"
    assert is_validation.groupby(clips["label"]).mean().tolist() == pytest.approx(shares, abs=0.051)
    assert description == f"recordings unseen in training{note}"


def test_a_class_that_others_pull_away_from_the_fraction_is_in_the_description():
    # Each pair of recordings must be separated, and takes half of the clips of class z along.
    pairs = {
        f"{pair}{side}": {f"c{pair}": 1, "z": 1} for pair in range(10) for side in ("left", "right")
    }
    _, description = assign_splits(mixed(pairs), config())
    assert "also far: " in description
    clips = mixed(pairs | {f"{pair}more": {f"c{pair}": 8} for pair in range(10)})
    clips = clips[clips["recording"] != "0more"].reset_index(drop=True)
    _, description = assign_splits(clips, config(validation_fraction=0.1))
    assert "c0 clips instead of 0.1: the class has 2 recordings" in description


@pytest.mark.parametrize("num_recordings", [2, 3, 4])
def test_few_recordings_of_many_classes_are_split_too(num_recordings):
    clips = table(dict.fromkeys("abcde", num_recordings))
    splits, _ = assign_splits(clips, config())
    assert not recordings_in(clips, splits, "train") & recordings_in(clips, splits, "validation")
    for split in ("train", "validation"):
        assert set(clips["label"][splits == split]) == set("abcde")


def test_no_recording_of_the_real_clips_is_in_two_splits(real_data):
    clips = find_labeled(str(real_data / "train"), str(real_data / "metadata.csv")).clips
    splits, _ = assign_splits(clips.assign(fold=pd.NA), config())
    shares = (splits == "validation").groupby(clips["label"]).mean()
    assert (shares - 0.2).abs().max() < 0.0022  # scikit-learn's StratifiedGroupKFold: 0.0022
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
