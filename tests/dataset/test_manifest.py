import json

import pyarrow.parquet as pq
import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate


def test_the_manifest_describes_the_dataset(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    assert manifest.classes == ["high", "low"]
    # One of five recordings per class validates, each training clip has a copy, and one of four
    # test clips is unreadable.
    assert manifest.num_rows == {"train": 32, "validation": 4, "test": 3}
    assert manifest.num_clips["train"] == {"high": 8, "low": 8}
    assert manifest.num_recordings["train"] == {"high": 4, "low": 4}
    assert manifest.num_quarantined == 1
    assert {shard.split for shard in manifest.shards} == {"train", "validation", "test"}
    for shard in manifest.shards:
        path = dataset_dir / shard.path
        assert path.stat().st_size == shard.num_bytes
        assert pq.read_metadata(path).num_rows == shard.num_rows


def test_manifests_that_cannot_be_read_are_refused(copy_of_dataset, tmp_path):
    with pytest.raises(UserError, match="is not a dataset.*: run the preprocess job first"):
        load_manifest(locate(tmp_path / "nowhere"))
    path = copy_of_dataset / "manifest.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {"version": 99}))
    with pytest.raises(
        UserError,
        match="format version 99, but .* reads 2 to 4: run .* `overwrite=True` to make it again",
    ):
        load_manifest(locate(copy_of_dataset))
    invalid_setting = text.replace('"hop_length": 512', '"hop_length": 0')
    assert invalid_setting != text
    for corrupt in (text[: len(text) // 2], "[]", "{}", '{"version": 3}', invalid_setting):
        path.write_text(corrupt)
        with pytest.raises(UserError, match="manifest.json is corrupt.*`overwrite=True`"):
            load_manifest(locate(copy_of_dataset))


@pytest.fixture
def version_2_dataset(copy_of_dataset):
    """The dataset as the version before wrote it."""
    path = copy_of_dataset / "manifest.json"
    content = json.loads(path.read_text()) | {"version": 2}
    path.write_text(
        json.dumps(
            {"normalisation" if key == "normalization" else key: content[key] for key in content},
            indent=1,
        )
    )
    return copy_of_dataset


def test_a_dataset_of_version_2_is_read_like_a_new_one(version_2_dataset, dataset_dir):
    assert load_manifest(locate(version_2_dataset)) == load_manifest(locate(dataset_dir))


def test_preprocessing_again_leaves_a_dataset_of_version_2_untouched(
    version_2_dataset, audio_dir, unlabeled_dir
):
    files = {path: path.stat().st_mtime_ns for path in version_2_dataset.rglob("*")}
    settings = {"num_augmented_copies": 1, "clips_per_shard": 7}
    manifest = write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir),
            test_dir=str(unlabeled_dir),
            dataset_dir=str(version_2_dataset),
            **settings,
        )
    )
    assert manifest == load_manifest(locate(version_2_dataset))
    assert {path: path.stat().st_mtime_ns for path in version_2_dataset.rglob("*")} == files


def test_the_names_in_a_manifest_do_not_change(dataset_dir):
    content = json.loads((dataset_dir / "manifest.json").read_text())
    assert list(content) == [
        *("version", "settings", "sources_sha256", "classes", "clip", "views"),
        *("split_description", "num_clips", "num_recordings", "num_rows", "seconds"),
        *("sample_rates", "num_quarantined", "normalization", "shards"),
        *("windows", "has_several_labels", "num_warnings", "num_cut", "num_padded", "notes"),
    ]
    assert set(content["settings"]) == {
        *("path_column", "label_column", "recording_column", "fold_column", "split_column"),
        *("label_separator", "background_label"),
        *("sample_rate", "duration", "windows", "window_hop", "max_windows_per_file"),
        *("num_mels", "min_frequency", "max_frequency"),
        *("cnn_n_fft", "cnn_hop_length", "cgan_n_fft", "cgan_hop_length"),
        *("split", "validation_fraction", "validation_fold", "recording_pattern"),
        *("num_augmented_copies", "augmentations", "clips_per_shard", "seed"),
    }
    assert list(content["shards"][0]) == ["split", "name", "num_rows", "num_bytes", "sha256"]
