"""The dataset on disk: its contract, and what happens to bad clips and to folders that are taken."""

import json
import shutil
import subprocess
import sys

import matplotlib.image
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, log_mel
from freqquest.dataset.config import CLIP, VIEWS, PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import read_split
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate

COLUMNS = [
    "clip_id",
    "path",
    "label",
    "class_index",
    "recording",
    "fold",
    "split",
    "augmentation",
    "cnn",
    "cgan",
]


def test_shards_are_read_by_plain_pyarrow_and_pandas_without_ray(dataset_dir):
    code = f"""
import sys
import numpy as np, pandas as pd, pyarrow.parquet as pq
table = pq.read_table({str(dataset_dir / "train")!r} + "/part-00000.parquet")
assert table.column_names == {COLUMNS}, table.column_names
assert table.schema.field("cnn").type.value_type == "halffloat"
assert list(table.schema.field("cgan").type.shape) == [{CGAN_VIEW.num_mels}, {CGAN_VIEW.num_frames}]
assert table["cnn"].chunk(0).to_numpy_ndarray().shape == (7, {CNN_VIEW.num_mels}, {CNN_VIEW.num_frames})
frame = pd.read_parquet({str(dataset_dir / "train")!r} + "/part-00000.parquet")
assert len(frame) == 7
assert frame["cnn"][0].dtype == np.float16
assert frame["cnn"][0].shape == ({CNN_VIEW.num_mels * CNN_VIEW.num_frames},)
whole = pd.read_parquet({str(dataset_dir / "train")!r})
assert len(whole) == 32
whole["cnn"][0].reshape({CNN_VIEW.num_mels}, {CNN_VIEW.num_frames})
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ray_data_reads_the_shards(dataset_dir):
    import ray.data

    batch = (
        ray.data.read_parquet(str(dataset_dir / "train"))
        .select_columns(["label", "cnn"])
        .take_batch(5)
    )
    assert batch["cnn"].shape == (5, CNN_VIEW.num_mels, CNN_VIEW.num_frames)
    assert batch["cnn"].dtype == np.float16


def test_float16_keeps_what_the_readme_says(dataset_dir, audio_dir):
    manifest = load_manifest(locate(dataset_dir))
    for view, settings in VIEWS.items():
        stored = read_split(locate(dataset_dir), manifest, "validation", view)
        for clip_id, spectrogram in zip(stored.clip_ids, stored.spectrograms, strict=True):
            with (audio_dir / clip_id).open("rb") as stream:
                exact = log_mel(load_clip(stream, CLIP).waveform, settings, CLIP.sample_rate_hz)
            error = np.abs(spectrogram.astype(np.float32) - exact)
            if view == "cnn":
                assert error.max() <= 1 / 32  # dB
            else:
                assert (error <= exact / 2048 + 1e-7).all()


def test_the_manifest_tells_what_is_in_the_folder(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    assert manifest.classes == ["high", "low"]
    # Of ten recordings, one of each class validates; each training clip has one copy; one test clip is broken.
    assert manifest.num_rows == {"train": 32, "validation": 4, "test": 3}
    assert manifest.num_clips["train"] == {"high": 8, "low": 8}
    assert manifest.num_recordings["train"] == {"high": 4, "low": 4}
    assert manifest.num_quarantined == 1
    assert {shard.split for shard in manifest.shards} == {"train", "validation", "test"}
    for shard in manifest.shards:
        place = dataset_dir / shard.split / shard.name
        assert place.stat().st_size == shard.num_bytes
        assert pq.read_metadata(place).num_rows == shard.num_rows


def test_copies_are_of_training_clips_only_and_marked(dataset_dir):
    train = pd.concat(
        pd.read_parquet(path, columns=["augmentation"])
        for path in (dataset_dir / "train").glob("*")
    )
    assert train["augmentation"].value_counts().to_dict() == {"none": 16, "pitch speed, copy 1": 16}
    validation = pd.concat(pd.read_parquet(path) for path in (dataset_dir / "validation").glob("*"))
    assert set(validation["augmentation"]) == {"none"}


def test_normalization_is_of_the_training_split(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    train = read_split(locate(dataset_dir), manifest, "train", "cnn").spectrograms.astype(
        np.float64
    )
    statistics = manifest.normalization["cnn"]
    np.testing.assert_allclose(statistics.mean, train.mean(), rtol=1e-4)
    np.testing.assert_allclose(statistics.standard_deviation, train.std(), rtol=1e-4)
    np.testing.assert_allclose(statistics.band_means, train.mean(axis=(0, 2)), rtol=1e-4)


def test_unreadable_clips_are_listed_with_the_reason_and_the_rest_goes_on(dataset_dir):
    refused = pd.read_csv(dataset_dir / "quarantine.csv")
    assert len(refused) == 1
    assert refused["path"][0].endswith("broken.wav")
    assert "not readable as audio" in refused["reason"][0]


def test_a_split_is_read_as_arrays_and_unlabeled_clips_have_no_class(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    train = read_split(locate(dataset_dir), manifest, "train", "cgan")
    assert train.spectrograms.shape == (32, 128, 512)
    assert train.spectrograms.dtype == np.float16
    labels = [clip_id.split("/")[0] for clip_id in train.clip_ids]
    assert [manifest.classes[index] for index in train.class_indices] == labels
    test = read_split(locate(dataset_dir), manifest, "test", "cnn")
    assert test.class_indices.tolist() == [-1, -1, -1]


def test_the_same_settings_give_the_same_bytes_and_a_rerun_changes_nothing(
    dataset_dir, audio_dir, unlabeled_dir, tmp_path
):
    settings = {
        "audio_dir": str(audio_dir),
        "test_dir": str(unlabeled_dir),
        "num_augmented_copies": 1,
        "clips_per_shard": 7,
    }
    again = write_dataset(PreprocessConfig(dataset_dir=str(tmp_path / "again"), **settings))
    assert again.shards == load_manifest(locate(dataset_dir)).shards
    written = (tmp_path / "again" / "manifest.json").stat().st_mtime_ns
    assert write_dataset(PreprocessConfig(dataset_dir=str(tmp_path / "again"), **settings)) == again
    assert (tmp_path / "again" / "manifest.json").stat().st_mtime_ns == written


def test_other_settings_or_clips_are_refused_naming_the_difference(
    copy_of_dataset, audio_dir, unlabeled_dir, tmp_path
):
    same = {"dataset_dir": str(copy_of_dataset), "num_augmented_copies": 1, "clips_per_shard": 7}
    with pytest.raises(UserError, match=r"made differently: seed=3 \(there: 0\).*--overwrite"):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), test_dir=str(unlabeled_dir), seed=3, **same)
        )
    with pytest.raises(
        UserError,
        match="made differently: the clips .files, sizes or times of change., their labels",
    ):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), **same))


def test_spectrograms_of_another_freqquest_are_not_taken_for_the_same(
    copy_of_dataset, audio_dir, unlabeled_dir
):
    place = copy_of_dataset / "manifest.json"
    place.write_text(place.read_text().replace('"num_mels": 128', '"num_mels": 64', 1))
    same = {"num_augmented_copies": 1, "clips_per_shard": 7, "test_dir": str(unlabeled_dir)}
    with pytest.raises(
        UserError, match="made differently: the spectrograms' settings, by another freqquest"
    ):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), **same)
        )


def test_two_runs_into_one_folder_do_not_both_finish(local_ray, audio_dir, tmp_path, monkeypatch):
    def other_run_begins(*_):
        (tmp_path / "dataset" / "unfinished.json").write_text('{"settings": {}, "run": "other"}')

    monkeypatch.setattr("freqquest.dataset.figures.draw_figures", other_run_begins)
    with pytest.raises(UserError, match="another run has begun to write .*/dataset"):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(tmp_path / "dataset"))
        )
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_folders_inside_of_each_other_are_refused(audio_dir, unlabeled_dir):
    with pytest.raises(UserError, match="lies inside of --audio-dir: it would be taken for clips"):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(audio_dir / "out"))
        )
    with pytest.raises(
        UserError, match="low/.* is in --audio-dir and in --test-dir: keep test clips out"
    ):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir), dataset_dir="unused", test_dir=str(audio_dir / "low")
            )
        )


def test_a_folder_with_other_files_is_left_alone(local_ray, audio_dir, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds thesis.tex, which is no part of a dataset"):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(tmp_path)))
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("overwrite", [False, True])
def test_clips_in_a_folder_called_train_are_never_taken_for_shards(
    local_ray, audio_dir, tmp_path, overwrite
):
    shutil.copytree(audio_dir, tmp_path / "train")
    with pytest.raises(
        UserError, match="which is no part of a dataset: choose an empty or new --dataset-dir"
    ):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(tmp_path / "train"), dataset_dir=str(tmp_path), overwrite=overwrite
            )
        )
    assert len(list((tmp_path / "train").rglob("*.wav"))) == 20


def test_shards_left_by_a_killed_run_and_hidden_files_do_not_hinder_the_next(
    copy_of_dataset, audio_dir
):
    (copy_of_dataset / "manifest.json").unlink()
    (copy_of_dataset / "train" / ".part-00001.parquet-staged-x").write_text("half of it")
    (copy_of_dataset / "train" / "part-00099.parquet").write_bytes(b"stale")
    with pytest.raises(UserError, match="holds t.*, but neither manifest.json nor unfinished.json"):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset)))
    manifest = write_dataset(
        PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), overwrite=True)
    )
    left = {path.name for path in (copy_of_dataset / "train").iterdir()}
    assert left == {shard.name for shard in manifest.shards if shard.split == "train"}


def test_overwrite_replaces_a_dataset_made_otherwise(copy_of_dataset, audio_dir):
    manifest = write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), seed=3, overwrite=True
        )
    )
    assert load_manifest(locate(copy_of_dataset)) == manifest
    assert manifest.num_rows["test"] == 0


def test_too_many_bad_clips_stop_the_job_and_commit_nothing(local_ray, audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    for path in sorted((tmp_path / "audio" / "low").glob("*"))[:3]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="3 of 20 clips cannot be read.*quarantine.csv"):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(tmp_path / "audio"), dataset_dir=str(tmp_path / "dataset")
            )
        )
    assert not (tmp_path / "dataset" / "manifest.json").exists()
    assert len(pd.read_csv(tmp_path / "dataset" / "quarantine.csv")) == 3
    for path in sorted((tmp_path / "audio" / "low").glob("*"))[:3]:
        shutil.copy(audio_dir / "low" / path.name, path)
    mended = write_dataset(
        PreprocessConfig(audio_dir=str(tmp_path / "audio"), dataset_dir=str(tmp_path / "dataset"))
    )
    assert mended.num_quarantined == 0


def test_one_bad_clip_is_allowed_unless_none_is(local_ray, audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    min((tmp_path / "audio" / "low").glob("*")).write_bytes(b"")
    settings = {"audio_dir": str(tmp_path / "audio"), "dataset_dir": str(tmp_path / "dataset")}
    with pytest.raises(
        UserError, match="1 of 20 clips cannot be read, more than --max-quarantined-fraction 0"
    ):
        write_dataset(PreprocessConfig(**settings, max_quarantined_fraction=0))
    assert (
        write_dataset(PreprocessConfig(**settings, max_quarantined_fraction=0.01)).num_quarantined
        == 1
    )


def test_the_summary_tells_classes_clips_recordings_hours_and_rates(dataset_dir):
    lines = load_manifest(locate(dataset_dir)).summary("there").splitlines()
    assert lines[0].split() == ["clips", "(recordings)", "train", "validation", "test", "hours"]
    assert lines[1].split() == ["high", "8", "(4)", "2", "(1)", "0", "(0)", "0.01"]
    assert lines[3].split() == ["(no", "label)", "0", "(0)", "0", "(0)", "3", "(3)", "0.00"]
    assert lines[4] == "rows: 32 train, 4 validation, 3 test"
    assert lines[5] == "sample rates: 23 at 22050 Hz"
    assert "refused clips: 1 (listed in there/quarantine.csv)" in lines


def test_the_dataset_has_pictures(dataset_dir):
    for name in ("spectrograms.png", "counts.png"):
        picture = matplotlib.image.imread(dataset_dir / "figures" / name)
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 0.05


def test_a_damaged_shard_is_named(copy_of_dataset):
    shard = copy_of_dataset / "validation" / "part-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    manifest = load_manifest(locate(copy_of_dataset))
    with pytest.raises(UserError, match="validation/part-00000.parquet is damaged"):
        read_split(locate(copy_of_dataset), manifest, "validation", "cnn")
    shard.unlink()
    with pytest.raises(UserError, match="validation/part-00000.parquet is missing"):
        read_split(locate(copy_of_dataset), manifest, "validation", "cnn")


def test_manifests_that_cannot_be_used_are_refused(copy_of_dataset, tmp_path):
    with pytest.raises(UserError, match="holds no dataset.*run jobs/preprocess.py first"):
        load_manifest(locate(tmp_path / "nowhere"))
    place = copy_of_dataset / "manifest.json"
    text = place.read_text()
    place.write_text(json.dumps(json.loads(text) | {"version": 99}))
    with pytest.raises(UserError, match="format version 99; this freqquest reads 2"):
        load_manifest(locate(copy_of_dataset))
    place.write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match="manifest.json is damaged"):
        load_manifest(locate(copy_of_dataset))
