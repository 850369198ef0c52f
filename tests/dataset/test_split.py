import time

import numpy as np
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


def large_table(num_clips, num_recordings):
    """Clips of 35 classes of different sizes, of which every recording has some."""
    rng = np.random.default_rng(0)
    numbers = pd.Series(np.arange(num_clips)).astype(str)
    columns = {
        "clip_id": "r" + numbers,
        "label": pd.Series(np.sqrt(rng.integers(0, 35**2, num_clips)).astype(int)).astype(str),
        "recording": "r" + (numbers.astype(int) % num_recordings).astype(str),
    }
    return pd.DataFrame(columns).assign(fold=pd.NA, split=None)


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
        "recordings unseen in training (0.5 of class c instead of 0.2: the class has 2 "
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
            " (0.5 of class b instead of 0.2: the class has 2 recordings)",
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
            " (0.03 of class a instead of 0.2: one of its 2 recordings has 0.97 of its clips)",
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
            " (0.1 of class a instead of 0.01: the class has 10 recordings; also far: b)",
        ),
        ({f"r{number}": {"a": 3, "b": 5} for number in range(10)}, 0.9, [0.9, 0.9], ""),
        (
            {"r": {"a": 1}, "s": {"a": 1}},
            0.2,
            [0.5],
            " (0.5 of class a instead of 0.2: the class has 2 recordings)",
        ),
        (
            {f"r{number}": {"a": 1} for number in range(20)}
            | {f"s{number}": {"b": 10, "c": 1} for number in range(2)}
            | {f"t{number}": {"b": 1} for number in range(20)},
            0.2,
            [0.2, 0.25, 0.5],
            " (0.5 of class c instead of 0.2: the class has 2 recordings)",
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
    assert "class c0 instead of 0.1: the class has 2 recordings" in description


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
        "clips unseen in training, but the recordings of all files are unknown: "
        "other clips of them may be in training"
    )


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


def without(clips, *columns):
    return clips.assign(**dict.fromkeys(columns))


def more_clips(clips, label):
    """Add two clips of one class and another recording."""
    rows = pd.DataFrame({"clip_id": [f"{label}x0", f"{label}x1"], "label": label})
    return pd.concat([clips, rows.assign(recording=f"{label}x")], ignore_index=True)


def assert_every_class_is_in_both(clips, splits):
    for split in ("train", "validation"):
        assert set(clips["label"][splits == split]) == set(clips["label"])


ONE_RECORDING = table({"a": 5, "b": 1})
ONE_CLIP = table({"a": 5, "b": 1}, clips_per_recording=1)
TWO_CLIPS = table({"a": 1, "b": 1}, clips_per_recording=1)
NO_FOLDS = table({"a": 5, "b": 5})
TWO_FOLDS = table({"a": 4, "b": 4}, folds=lambda recording: 1 + recording % 2)

CIRCLE = mixed({"r": {"a": 2, "b": 2}, "s": {"b": 2, "c": 2}, "t": {"c": 2, "a": 2}})
"""Three recordings: wherever they go, one class is in one split only."""


@pytest.mark.parametrize(
    ("clips", "settings", "message", "remedies"),
    [
        (
            ONE_RECORDING,
            {},
            "class b has only one recording: .*; add recordings, or use `split=random`",
            [(more_clips(ONE_RECORDING, "b"), {}), (ONE_RECORDING, {"split": "random"})],
        ),
        (
            table(dict.fromkeys("abcdefg", 1)),
            {},
            "classes a, b, c, d, e and 2 more have only one recording: .*use `split=random`",
            [(table(dict.fromkeys("abcdefg", 1)), {"split": "random"})],
        ),
        (
            ONE_CLIP,
            {},
            "class b has only one clip: .*; add clips of other recordings, or remove the class",
            [(more_clips(ONE_CLIP, "b"), {}), (ONE_CLIP[ONE_CLIP["label"] != "b"], {})],
        ),
        (
            TWO_CLIPS,
            {"split": "random"},
            "classes a, b have only one clip: .*; add clips of other recordings",
            [(more_clips(more_clips(TWO_CLIPS, "a"), "b"), {"split": "random"})],
        ),
        (
            CIRCLE,
            {},
            "no split of the 3 recordings leaves every class in both splits, because they have "
            "clips of several classes: add recordings of [abc] alone, or use `split=random`",
            [(more_clips(CIRCLE, label), {}) for label in "abc"] + [(CIRCLE, {"split": "random"})],
        ),
        (
            NO_FOLDS,
            {"validation_fold": 1},
            "`validation_fold=1` needs at least two folds, and a fold for every "
            "clip: complete the column fold, or leave `validation_fold` out",
            [
                (NO_FOLDS.assign(fold=[1, 1, 1, 2, 2, 2] * 5), {"validation_fold": 1}),
                (NO_FOLDS, {}),
            ],
        ),
        (
            TWO_FOLDS,
            {"validation_fold": 9},
            "`validation_fold=9` must be one of: 1, 2",
            [(TWO_FOLDS, {"validation_fold": 1}), (TWO_FOLDS, {"validation_fold": 2})],
        ),
        (
            TWO_FOLDS.assign(fold=[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3] * 2)[:-6],
            {"validation_fold": 3},
            "`validation_fold=3` does not leave every class in both splits: use one of: 1, 2",
            [(TWO_FOLDS, {"validation_fold": 1}), (TWO_FOLDS, {"validation_fold": 2})],
        ),
        (
            TWO_FOLDS.assign(fold=[1] * 12 + [2] * 12),
            {},
            r"no fold leaves every class in both splits \(class a is in 1 of 2 folds\): put clips "
            "of each class into every fold, or remove the column fold",
            [(TWO_FOLDS, {}), (without(TWO_FOLDS, "fold"), {})],
        ),
        (
            TWO_FOLDS.assign(fold=[2, *TWO_FOLDS["fold"][1:]]),
            {},
            "recording a0 has clips in train and validation: correct or remove the column, the "
            "lists or the folders that give its clips a fold or split",
            [(TWO_FOLDS, {}), (without(TWO_FOLDS, "fold"), {})],
        ),
        (
            TWO_FOLDS.assign(fold=[*TWO_FOLDS["fold"][:-1], pd.NA]),
            {},
            "b32 has no fold, but other clips have: complete or remove the column fold",
            [(TWO_FOLDS, {}), (without(TWO_FOLDS, "fold"), {})],
        ),
    ],
    ids=[
        *("one recording", "one recording each", "one clip", "two clips in all", "a circle"),
        *("no folds", "unknown fold", "a fold without a class", "one fold each"),
        *("a divided recording", "folds of some clips"),
    ],
)
def test_splits_that_cannot_be_made_are_refused_with_advice_that_works(
    clips, settings, message, remedies
):
    with pytest.raises(UserError, match=message):
        assign_splits(clips, config(**settings))
    for changed, changed_settings in remedies:
        splits, _ = assign_splits(changed, config(**changed_settings))
        assert_every_class_is_in_both(changed, splits)


def given(clips, **split_of_recording):
    return clips.assign(
        split=[split_of_recording.get(name, "train") for name in clips["recording"]]
    )


def test_splits_of_the_metadata_are_kept():
    clips = given(table({"a": 3, "b": 3}), a1="validation", b2="validation", a2="test")
    splits, description = assign_splits(clips, config())
    assert splits.equals(clips["split"])
    assert description == "the dataset's own split, recordings unseen in training"


def test_test_clips_of_the_metadata_stay_out_of_the_split():
    clips = table({"a": 4, "b": 4})
    clips["split"] = clips["split"].where(clips["recording"] != "a0", "test")
    splits, _ = assign_splits(clips, config())
    assert recordings_in(clips, splits, "test") == {"a0"}
    assert recordings_in(clips, splits, "train") | recordings_in(clips, splits, "validation") == {
        *("a1", "a2", "a3", "b0", "b1", "b2", "b3")
    }


@pytest.mark.parametrize("given_splits", [{"train", "test"}, {"train"}, {"test"}])
def test_validation_is_held_out_of_the_training_split_where_the_metadata_has_none(given_splits):
    clips = table({"a": 10, "b": 10})
    is_test = clips["recording"].isin(["a0", "b0"])
    clips["split"] = pd.Series("train", clips.index).where(~is_test, "test")
    clips["split"] = clips["split"].where(clips["split"].isin(given_splits), None)
    if given_splits == {"train"}:
        clips = clips[clips["split"].notna()]
    splits, description = assign_splits(clips, config())
    assert recordings_in(clips, splits, "test") == (
        {"a0", "b0"} if "test" in given_splits else set()
    )
    validation = recordings_in(clips, splits, "validation")
    assert len(validation) == 4
    assert not validation & recordings_in(clips, splits, "train")
    assert ("held out of the dataset's own training split" in description) == (
        "train" in given_splits
    )


def test_validation_is_a_fold_of_the_training_split_where_the_metadata_has_folds():
    clips = given(table({"a": 6, "b": 6}, folds=lambda recording: 1 + recording % 3), a0="test")
    splits, description = assign_splits(clips, config())
    assert set(clips["fold"][splits == "validation"]) == {1}
    assert recordings_in(clips, splits, "test") == {"a0"}
    assert description == (
        "fold 1, recordings unseen in training, held out of the dataset's own training split"
    )


@pytest.mark.parametrize(
    ("clips", "message", "complete"),
    [
        (
            given(table({"a": 3, "b": 3}), a1="validation"),
            "the dataset's own split has no clip of class b in validation: .*; add some, or remove",
            {"b1": "validation"},
        ),
        (
            given(table({"a": 2, "b": 2}), a0="validation", a1="validation", b0="validation"),
            "the dataset's own split has no clip of class a in train: .*; add some, or remove",
            {"a0": "train"},
        ),
        (
            given(table({"a": 3, "b": 3}), a1="validation", b1=None),
            "b10 has no split, but other clips have: complete or remove the column split",
            {"b1": "validation"},
        ),
        (
            given(table({"a": 3, "b": 3}), b1=None),
            "b10 has no split, but other clips have: complete or remove the column split",
            {"b1": "train"},
        ),
    ],
    ids=["no validation", "no training", "partly", "partly without validation"],
)
def test_invalid_splits_of_the_metadata_are_refused_with_advice_that_works(
    clips, message, complete
):
    with pytest.raises(UserError, match=message):
        assign_splits(clips, config())
    completed = clips.assign(split=clips["recording"].map(complete).fillna(clips["split"]))
    for changed in (completed, without(clips, "split")):
        splits, _ = assign_splits(changed, config())
        assert_every_class_is_in_both(changed, splits)


def test_a_recording_in_training_and_test_is_refused_with_advice_that_works():
    clips = given(table({"a": 3, "b": 3}), a1="validation", b2="validation")
    clips.loc[0, "split"] = "test"
    with pytest.raises(UserError, match="recording a0 has clips in test and train"):
        assign_splits(clips, config())
    splits, _ = assign_splits(without(clips, "split"), config())
    assert set(splits) == {"train", "validation"}


def test_a_random_split_of_few_clips_has_every_class_in_both_splits():
    clips = table({"a": 1, "b": 1}, clips_per_recording=2)
    splits, description = assign_splits(clips, config(split="random"))
    assert (splits == "validation").groupby(clips["label"]).sum().tolist() == [1, 1]
    assert description.endswith(
        "(0.5 of class a instead of 0.2: the class has 2 clips; also far: b)"
    )


def test_a_million_clips_are_split_within_seconds():
    clips = large_table(num_clips=1_000_000, num_recordings=1_000_000)
    started = time.process_time()
    splits, description = assign_splits(clips, config())
    assert time.process_time() - started < 30
    shares = (splits == "validation").groupby(clips["label"]).mean()
    assert (shares - 0.2).abs().max() < 0.001
    assert description.startswith("clips unseen in training, but the recordings of all files")
