"""What the tune stage refuses and records before it asks Ray for anything."""

import dataclasses

import pandas as pd
import pytest

from freqquest.cnn.tune import _settings, tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.sizes import SIZES


def test_the_recipe_refuses_other_clips_by_name_before_any_work(dataset_dir, tmp_path):
    size = SIZES["8 kHz, 3 s, 40 mels"]
    other = dataclasses.replace(
        load_manifest(locate(dataset_dir)), clip=size.clip, views=dict(size.views)
    )
    (tmp_path / "dataset").mkdir()
    other.save(locate(tmp_path / "dataset"))
    config = TuneConfig(
        dataset_dir=str(tmp_path / "dataset"), run_dir=str(tmp_path / "run"), preset="reference"
    )
    with pytest.raises(
        UserError,
        match=r"`preset=reference` is made for .* sample_rate_hz 8000 instead of 22050, duration_s "
        r"3.0 instead of 4.0, .*num_mels 40 instead of 128, .*: use `preset=default`",
    ):
        tune_cnn(config)
    assert not (tmp_path / "run").exists()


def test_the_recipe_refuses_several_labels_by_name_before_any_work(dataset_dir, tmp_path):
    several = dataclasses.replace(load_manifest(locate(dataset_dir)), has_several_labels=True)
    (tmp_path / "dataset").mkdir()
    several.save(locate(tmp_path / "dataset"))
    config = TuneConfig(
        dataset_dir=str(tmp_path / "dataset"), run_dir=str(tmp_path / "run"), preset="reference"
    )
    with pytest.raises(
        UserError,
        match=r"`preset=reference` needs one label a clip, and `dataset_dir=.*dataset` has clips "
        "with several labels: use `preset=default`",
    ):
        tune_cnn(config)
    assert not (tmp_path / "run").exists()


def test_run_folders_from_when_shifts_were_counted_in_bands_stay_valid(dataset_dir):
    config = TuneConfig(dataset_dir=str(dataset_dir), run_dir="unused")
    manifest = load_manifest(locate(dataset_dir))
    assert _settings(config, manifest, pd.DataFrame())["preset.band_shift"] == 3
