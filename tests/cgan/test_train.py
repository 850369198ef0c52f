"""What the driver refuses before it asks Ray for anything."""

import dataclasses

import pytest

from freqquest.cgan import train
from freqquest.cgan.config import TrainConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.runs.folder import RunFolder
from freqquest.storage import locate
from tests.sizes import SIZES


def config(dataset_dir, tmp_path, **settings):
    return TrainConfig(dataset_dir=str(dataset_dir), run_dir=str(tmp_path / "run"), **settings)


def test_a_batch_larger_than_the_dataset_is_refused(dataset_dir, tmp_path):
    with pytest.raises(
        UserError, match="`batch_size=33` must be at most 32, the number of training clips in .*"
    ):
        train.train_cgan(config(dataset_dir, tmp_path, batch_size=33))


def test_a_batch_size_that_is_not_a_number_suits_any_dataset(dataset_dir, tmp_path):
    manifest = load_manifest(locate(dataset_dir))
    manifest.num_rows["train"] = 8  # below the preset's size
    for size in (None, "auto"):
        train.require_full_batch(config(dataset_dir, tmp_path, batch_size=size), manifest)
    with pytest.raises(UserError, match="`batch_size=9` must be at most 8, the number of"):
        train.require_full_batch(config(dataset_dir, tmp_path, batch_size=9), manifest)


def test_an_automatic_batch_size_without_gpus_is_that_of_the_preset(dataset_dir, tmp_path):
    assert train._known_batch_size(config(dataset_dir, tmp_path, batch_size="auto")) == 16


def test_a_run_keeps_its_automatic_batch_size_on_other_machines(dataset_dir, tmp_path):
    started = config(dataset_dir, tmp_path, batch_size=24)
    manifest = load_manifest(locate(dataset_dir))
    RunFolder(started.run_dir, "cgan", train._settings(started, manifest)).begin()
    continued = config(dataset_dir, tmp_path, batch_size="auto")
    assert train._known_batch_size(continued) == 24


def test_a_missing_judge_is_refused_with_the_fix(dataset_dir, tmp_path):
    with pytest.raises(
        UserError, match="`judge=/none` does not exist: give the best_model.keras of a tune_cnn run"
    ):
        train.train_cgan(config(dataset_dir, tmp_path, judge="/none"))


def test_a_judge_needs_validation_clips(dataset_dir, tmp_path):
    manifest = load_manifest(locate(dataset_dir))
    manifest.num_rows["validation"] = 0
    (tmp_path / "judge.keras").write_bytes(b"classifier")
    judged = config(dataset_dir, tmp_path, judge=str(tmp_path / "judge.keras"))
    with pytest.raises(UserError, match="`judge` compares with held-out real clips, but the datas"):
        train._settings(judged, manifest)


def test_settings_hold_the_preset_and_the_judge_but_neither_workers_nor_tracker(
    dataset_dir, tmp_path
):
    manifest = load_manifest(locate(dataset_dir))
    (tmp_path / "judge.keras").write_bytes(b"classifier")
    plain = train._settings(config(dataset_dir, tmp_path), manifest)
    assert plain["preset.architecture"] == "projection"
    assert plain["judge_sha256"] is None
    assert plain["preset.overlapping"]
    recipe = train._settings(config(dataset_dir, tmp_path, preset="reference"), manifest)
    assert "preset.overlapping" not in recipe  # so that run folders from before it stay valid
    for other in ({"num_workers": "2:4"}, {"track": "mlflow"}):
        assert train._settings(config(dataset_dir, tmp_path, **other), manifest) == plain
    judged = config(dataset_dir, tmp_path, judge=str(tmp_path / "judge.keras"))
    assert len(train._settings(judged, manifest)["judge_sha256"]) == 64


def test_the_recipe_refuses_several_labels_by_name_before_any_work(dataset_dir, tmp_path):
    several = dataclasses.replace(load_manifest(locate(dataset_dir)), has_several_labels=True)
    (tmp_path / "dataset").mkdir()
    several.save(locate(tmp_path / "dataset"))
    with pytest.raises(UserError, match="`preset=reference` needs one label a clip, and `dataset"):
        train.train_cgan(config(tmp_path / "dataset", tmp_path, preset="reference"))
    assert not (tmp_path / "run").exists()


def test_a_training_says_once_that_clips_serve_each_of_their_labels(
    dataset_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "_run_on_driver_node", lambda job: {"error": "enough"})
    for name, has_several_labels in (("several", True), ("one", False)):
        folder = tmp_path / name
        folder.mkdir()
        manifest = load_manifest(locate(dataset_dir))
        dataclasses.replace(manifest, has_several_labels=has_several_labels).save(locate(folder))
        with pytest.raises(UserError, match="training stopped: enough"):
            train.train_cgan(config(folder, folder))
        said = capsys.readouterr().err
        times = said.count("clips with several labels are trained on by each of them")
        assert times == has_several_labels


def test_the_recipe_refuses_other_clips_by_name_before_any_work(dataset_dir, tmp_path):
    size = SIZES["16 kHz, 1 s"]
    other = dataclasses.replace(
        load_manifest(locate(dataset_dir)), clip=size.clip, views=dict(size.views)
    )
    (tmp_path / "dataset").mkdir()
    other.save(locate(tmp_path / "dataset"))
    with pytest.raises(
        UserError,
        match=r"`preset=reference` is made for .* sample_rate_hz 16000 instead of 22050, "
        r"duration_s 1.0 instead of 4.0, n_fft 768 instead of 1024, .*: use `preset=default`",
    ):
        train.train_cgan(config(tmp_path / "dataset", tmp_path, preset="reference"))
