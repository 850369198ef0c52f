import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.dataset.config import DatasetSettings, PreprocessConfig
from freqquest.dataset.manifest import MANIFEST_NAME, load_manifest
from freqquest.dataset.plan import plan_dataset
from freqquest.dataset.read import (
    ClipArrays,
    SplitReader,
    _without_class,
    read_rows,
    without_background,
)
from freqquest.dataset.split import assign_splits
from freqquest.dataset.summary import summarize
from freqquest.dataset.survey import find_windows
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.dataset.test_sources import find, make

FOLDS = "slice_file_name,fsID,fold\n"


@pytest.mark.parametrize("name", ["_background", "_BACKGROUND", "_Background_Noise_"])
def test_a_folder_of_this_name_is_the_background(tmp_path, name):
    root = make(tmp_path, "a/1.wav", "a/2.wav", "b/3.wav", f"{name}/4.wav", f"{name}/5.wav")
    sources = find(root)
    assert sources.background_label == name
    assert sources.clips["label"].tolist().count(name) == 2


def test_another_class_is_the_background_if_it_is_named(tmp_path):
    root = make(tmp_path, "a/1.wav", "b/2.wav", "street/3.wav", "street/4.wav")
    assert find(root).background_label is None
    assert find(root, background_label="street").background_label == "street"


def test_a_background_that_is_no_class_or_the_second_one_is_refused(tmp_path):
    root = make(tmp_path, "a/1.wav", "_background/2.wav", "_background/3.wav")
    with pytest.raises(
        UserError, match="`background_label=wind` must be one of the classes: _background, a"
    ):
        find(root, background_label="wind")
    with pytest.raises(UserError, match="classes _background and a are both a background"):
        find(root, background_label="a")
    make(tmp_path, "_background_noise_/4.wav")
    with pytest.raises(UserError, match="_background and _background_noise_ are both"):
        find(root)


@pytest.mark.parametrize("settings", [{}, {"background_label": "_background"}])
def test_a_background_alone_is_refused(tmp_path, settings):
    with pytest.raises(UserError, match=r"only one class \(_background\): a classifier needs two"):
        find(make(tmp_path, "_background/1.wav", "_background/2.wav"), **settings)


def test_names_of_background_files_do_not_hide_the_recordings_of_the_others(tmp_path):
    root = make(tmp_path, "siren/12-8-0-1.wav", "siren/13-8-0-2.wav", "bark/14-3-0-0.wav")
    make(tmp_path, "_background/wind.wav", "_background/rain.wav")
    clips = find(root).clips.set_index("clip_id")["recording"]
    assert clips["siren/12-8-0-1.wav"] == "12"
    assert clips["_background/wind.wav"] == "_background/wind.wav"


@pytest.mark.parametrize(
    "places",
    [
        ["train/a", "train/b", "val/a", "val/b"],  # folders of splits
        ["a/site1", "a/site2", "b/site1", "b/site2"],  # folders of speakers
    ],
)
def test_a_background_beside_any_layout_leaves_it_as_it_is(tmp_path, places):
    root = make(tmp_path, *(f"{place}/{number}.wav" for number, place in enumerate(places)))
    without = find(root)
    make(tmp_path, "_background/wind.wav", "_background/rain.wav")
    sources = find(root)
    kept = sources.clips[sources.clips["label"] != "_background"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, without.clips)
    assert without.notes[0] == sources.notes[0]


def test_backgrounds_of_the_folders_of_splits_keep_them(tmp_path):
    names = [f"{split}/{label}/x.wav" for split in ("train", "val") for label in "ab"]
    names += ["train/_background/wind.wav", "val/_background/rain.wav"]
    splits = find(make(tmp_path, *names)).clips.set_index("clip_id")["split"]
    assert splits["train/_background/wind.wav"] == "train"
    assert splits["val/_background/rain.wav"] == "validation"


def with_folds(root, num_files):
    """Clips of two classes in three folds by a table, which says nothing of the background."""
    rows = [f"{number}-{index}.wav,{number},{number}" for number in (1, 2, 3) for index in (0, 1)]
    make(root / "audio", *(f"{'ab'[int(row[2])]}/{row.split(',')[0]}" for row in rows))
    make(root / "audio", *(f"_background/{number}.wav" for number in range(num_files)))
    (root / "meta.csv").write_text(FOLDS + "\n".join(rows) + "\n")
    return find(root / "audio", metadata=str(root / "meta.csv"))


def test_whole_recordings_of_a_background_without_folds_are_divided_over_them(tmp_path):
    clips = with_folds(tmp_path, num_files=6).clips
    background = clips[clips["label"] == "_background"]
    assert background["fold"].value_counts().to_dict() == {1: 2, 2: 2, 3: 2}
    splits, description = assign_splits(
        clips, PreprocessConfig(audio_dir="a", dataset_dir="d", validation_fold=2)
    )
    assert (splits[background.index] == "validation").tolist() == (background["fold"] == 2).tolist()
    assert description.startswith("fold 2")


def test_a_background_of_one_recording_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="_background has only one recording.*windows of one file are never divided"
    ):
        with_folds(tmp_path, num_files=1)


@pytest.fixture(scope="module")
def with_background(tmp_path_factory):
    """Two classes of 1 s clips, and six background files of 5.5 s, one of them short."""
    root = tmp_path_factory.mktemp("background")
    for label, pitch_hz in {"low": 200.0, "high": 3000.0}.items():
        (root / label).mkdir()
        for number in range(5):
            sound = tone(pitch_hz, 1.5, seed=number)
            soundfile.write(root / label / f"{number}.wav", sound, RATE_HZ)
    (root / "_background").mkdir()
    for number, duration_s in enumerate((5.5, 5.5, 5.5, 5.5, 5.5, 0.5)):
        noise = 0.1 * np.random.default_rng(number).standard_normal(round(duration_s * RATE_HZ))
        soundfile.write(root / "_background" / f"{number}.wav", noise, RATE_HZ)
    return root


def config_of(audio_dir, folder, **settings):
    return PreprocessConfig(
        audio_dir=str(audio_dir), dataset_dir=str(folder), duration=1.0, **settings
    )


@pytest.mark.parametrize(
    ("settings", "num_windows"),
    [
        ({}, 31),
        ({"windows": "loudest"}, 31),
        ({"windows": "loudest", "max_windows_per_file": 2}, 11),
        ({"windows": "all", "window_hop": 0.5}, 51),
    ],
)
def test_the_background_is_windows_of_all_its_sound_whatever_the_others_are(
    with_background, local_ray, tmp_path, settings, num_windows
):
    config = config_of(with_background, tmp_path / "dataset", **settings)
    plan = plan_dataset(config)
    windows, rejected = find_windows(plan.clips, config, plan.background_label)
    assert rejected.empty
    background = windows[windows["label"] == "_background"]
    assert len(background) == num_windows
    assert (background.groupby("recording")["split"].nunique() == 1).all()
    others = windows[windows["label"] != "_background"]
    if not settings:
        assert others["clip_id"].tolist() == [
            f"{label}/{number}.wav" for label in ("high", "low") for number in range(5)
        ]
        assert windows["clip_id"].tolist() == sorted(windows["clip_id"])


def test_a_dataset_says_which_class_is_its_background(with_background, local_ray, tmp_path):
    manifest = write_dataset(config_of(with_background, tmp_path / "dataset"))
    assert load_manifest(locate(tmp_path / "dataset")) == manifest
    assert manifest.background_label == "_background"
    assert manifest.sound_classes == ["high", "low"]
    assert manifest.num_cut == 10  # the others' half second, and nothing of the background
    text = summarize(manifest, "dataset")
    assert "windows of class _background: 31, of 6 files" in text
    assert (
        "background: class _background, which is learned but never an answer; its validation rests "
        "on a single recording, as windows of a file are never divided" in text
    )
    rows = read_rows(locate(tmp_path / "dataset"), manifest)
    assert (rows["label"] == "_background").sum() == 31


def test_a_dataset_without_a_background_is_written_as_before_and_kept_as_it_is(
    with_background, local_ray, tmp_path
):
    for label in ("low", "high"):
        shutil.copytree(with_background / label, tmp_path / "audio" / label)
    config = config_of(tmp_path / "audio", tmp_path / "dataset")
    manifest = write_dataset(config)
    path = tmp_path / "dataset" / MANIFEST_NAME
    content = json.loads(path.read_text())
    assert "background_label" not in content
    del content["settings"]["background_label"]  # as an earlier freqquest wrote it
    path.write_text(json.dumps(content))
    assert write_dataset(config).content_sha256 == manifest.content_sha256


def test_a_dataset_in_which_the_background_was_an_ordinary_class_is_refused(
    with_background, local_ray, tmp_path
):
    config = config_of(with_background, tmp_path / "dataset")
    write_dataset(config)
    path = tmp_path / "dataset" / MANIFEST_NAME
    content = json.loads(path.read_text())
    del content["background_label"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the class _background, which was no background then"):
        write_dataset(config)


def test_settings_of_a_dataset_name_no_background_by_default():
    assert DatasetSettings().background_label is None


def test_readers_skip_the_background_on_request(with_background, local_ray, tmp_path):
    location = locate(tmp_path / "dataset")
    manifest = write_dataset(config_of(with_background, location.path, clips_per_shard=4))
    all_clips = next(SplitReader(location, manifest, "train", "cnn").shards())
    skipping = without_background(location, manifest)
    assert skipping.classes == ["high", "low"]
    assert skipping.num_rows == {"train": 8, "validation": 2, "test": 0}
    assert skipping.content_sha256 == manifest.content_sha256
    reader = SplitReader(location, skipping, "train", "cnn")
    assert len(reader) == 8
    shards = list(reader.shards())
    assert sum(len(shard.clip_ids) for shard in shards) == 8
    for shard in shards:
        assert shard.labels.shape == (len(shard.clip_ids), 2)
        folders = [clip_id.split("/")[0] for clip_id in shard.clip_ids]
        assert folders == [skipping.classes[index] for index in shard.class_indices]
        assert (shard.labels.argmax(axis=1) == shard.class_indices).all()
    assert all_clips.labels.shape[1] == 3
    rows = read_rows(location, skipping, "train")
    ids = [clip_id for shard in shards for clip_id in shard.clip_ids]
    assert rows["clip_id"].tolist() == ids
    batch = next(reader.batches(4, seed=0, epoch=0))
    assert batch.class_indices.max() <= 1


def test_a_manifest_without_a_background_is_the_same_without_it(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    assert without_background(locate(dataset_dir), manifest) is manifest


def test_a_clip_with_another_label_beside_the_background_keeps_that_one():
    clips = ClipArrays(
        spectrograms=np.arange(4.0).reshape(4, 1, 1),
        class_indices=np.array([1, 0, 1, -1]),
        labels=np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool),
        clip_ids=list("wxyz"),
        recordings=list("wxyz"),
    )
    kept = _without_class(clips, 1)
    assert kept.clip_ids == ["w", "x", "z"]
    assert kept.class_indices.tolist() == [1, 0, -1]
    assert kept.labels.tolist() == [[False, True], [True, False], [False, False]]
