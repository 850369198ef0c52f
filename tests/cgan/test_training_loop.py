"""A whole training in this process, without Ray: its results, and interruptions."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from freqquest.cgan import config as cgan_config
from freqquest.cgan import recorder
from freqquest.cgan.distributed import Worker
from freqquest.cgan.generator import Generator
from freqquest.cgan.generator_file import read_generator
from freqquest.cgan.train import _tracked
from freqquest.cgan.training_loop import StartError, run_training
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cgan.conftest import CPU, small, train_job
from tests.cgan.test_judging import FakeJudge

EPOCHS = 4


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for preset in ("default", "reference"):
        monkeypatch.setitem(cgan_config.PRESETS, preset, small(preset))
    monkeypatch.setattr(recorder, "_CHECKPOINT_INTERVAL_S", 0)


@pytest.fixture
def make_job(dataset_dir):
    def make(run, **changes):
        return dataclasses.replace(
            train_job(dataset_dir, run, epochs=EPOCHS, sample_every=100), **changes
        )

    return make


def train(job, stop_at=None, seen=None):
    """Train, collecting the reported clips in `seen`, and stop as soon as `stop_at` are done."""

    def on_clips(done, _):
        if seen is not None:
            seen.add(done)
        if stop_at is not None and done >= stop_at:
            raise InterruptedError

    return run_training(job, Worker(), CPU, on_clips)


def generator_of(run):
    return read_generator((run / "generator.safetensors").read_bytes())


def weights_of(run):
    network = generator_of(run).network
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def results_of(run):
    """Return the metrics of all epochs but those of speed and hardware."""
    epochs = pd.read_csv(run / "cgan_epochs.csv")
    shares = [name for name in epochs if name.endswith("_share")]
    return epochs.drop(columns=["clips_per_s", "seconds", "step_ms", "process_mib", *shares])


def test_a_training_writes_a_generator_metrics_sounds_and_pictures(make_job, tmp_path):
    metrics = train(make_job(tmp_path))
    assert (metrics["epoch"], metrics["generator_epoch"]) == (EPOCHS, EPOCHS)
    epochs = pd.read_csv(tmp_path / "cgan_epochs.csv")
    assert epochs["epoch"].tolist() == [1, 2, 3, 4]
    assert np.isfinite(epochs).all(axis=None)
    assert {path.name for path in (tmp_path / "samples").iterdir()} == {
        f"{label}_ep{epoch}.wav" for label in ("high", "low") for epoch in (1, EPOCHS)
    }
    sound, rate = soundfile.read(tmp_path / "samples" / "low_ep4.wav")
    assert (rate, sound.shape) == (22_050, (344 * 256,))  # as long as the clips
    assert np.isfinite(sound).all()
    generator = generator_of(tmp_path)
    assert generator.card.classes == ["high", "low"]
    assert generator.spectrograms(torch.zeros(2, 128), torch.tensor([0, 1])).shape == (2, 128, 512)
    again = Generator(generator).generate("low", num_clips=1, seed=0)[0]
    assert np.corrcoef(sound, again)[0, 1] > 0.99  # the same clip, but for the class's gain
    assert len(generator.card.gains_db) == 2


def test_the_recipe_trains_and_its_sounds_have_the_published_length(make_job, tmp_path):
    job = make_job(tmp_path)
    metrics = train(
        dataclasses.replace(
            job, config=dataclasses.replace(job.config, preset="reference", epochs=1)
        )
    )
    assert np.isfinite([metrics["loss_D"], metrics["loss_G"]]).all()
    assert soundfile.info(tmp_path / "samples" / "low_ep1.wav").frames == 511 * 256
    card = generator_of(tmp_path).card
    assert (card.preset, card.gains_db) == ("reference", None)


def test_an_interrupted_training_continues_from_its_last_intact_checkpoint_to_the_same_weights(
    make_job, tmp_path
):
    train(make_job(tmp_path / "whole"))
    run = tmp_path / "stopped"
    with pytest.raises(InterruptedError):
        train(make_job(run), stop_at=32 + 8)  # of 32 clips an epoch
    with pytest.raises(InterruptedError):
        train(make_job(run), stop_at=3 * 32 + 8)
    newest = sorted((run / "checkpoints").glob("*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    train(make_job(run))
    assert torch.equal(weights_of(run), weights_of(tmp_path / "whole"))
    pd.testing.assert_frame_equal(results_of(run), results_of(tmp_path / "whole"))


def test_a_finished_training_takes_no_more_steps(make_job, tmp_path):
    train(make_job(tmp_path))
    seen = set()
    train(make_job(tmp_path), seen=seen)
    assert seen == {EPOCHS * 32}  # not a step more


def test_checkpoints_of_other_settings_are_refused(make_job, tmp_path):
    with pytest.raises(InterruptedError):
        train(make_job(tmp_path), stop_at=40)
    with pytest.raises(
        UserError,
        match=r"checkpoints holds a training with other settings: choose another `run_dir`",
    ):
        train(make_job(tmp_path, settings_sha256="others"))


def test_a_shard_that_is_corrupt_for_the_judge_too_ends_the_training_before_its_first_step(
    make_job, dataset_dir, tmp_path
):
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "validation" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1000])
    job = make_job(tmp_path / "run", dataset=locate(tmp_path / "dataset"), judge=FakeJudge())
    with pytest.raises(StartError, match="validation/part-00000.parquet is corrupt"):
        train(job)


def test_a_tracker_that_fails_is_told_and_ends_no_training(make_job, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    job, notes = make_job(tmp_path), []
    config = dataclasses.replace(job.config, track="mlflow")
    job = dataclasses.replace(job, tracked=_tracked(config, job.run))
    run_training(job, Worker(), CPU, lambda _, note: notes.append(note))
    assert "mlflow failed (API request to http://127.0.0.1:9/" in notes[-1]
    assert (tmp_path / "generator.safetensors").exists()


def test_gradients_that_stay_infinite_stop_the_training(make_job, tmp_path, monkeypatch):
    monkeypatch.setitem(cgan_config.PRESETS, "default", small("default", learning_rate=1e30))
    with pytest.raises(
        FloatingPointError, match=r"gradients were not finite in \d+ of 8 steps of epoch \d"
    ):
        train(make_job(tmp_path))
    assert not (tmp_path / "generator.safetensors").exists()
