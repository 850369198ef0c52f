"""A whole training in this process, without Ray's workers: what is left of it, and what an interruption costs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from freqquest.cgan import config as cgan_config
from freqquest.cgan import recorder as record
from freqquest.cgan.distributed import Worker
from freqquest.cgan.generator_file import load_generator
from freqquest.cgan.realism import RealismMetrics
from freqquest.cgan.training_loop import train_generator
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cgan.conftest import CPU, small, train_job

EPOCHS = 4


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for preset in ("default", "reference"):
        monkeypatch.setitem(cgan_config.PRESETS, preset, small(preset))
    monkeypatch.setattr(record, "_CHECKPOINT_INTERVAL_S", 0)


@pytest.fixture
def make_job(dataset_dir):
    def make(run, **changes):
        return dataclasses.replace(
            train_job(dataset_dir, run, epochs=EPOCHS, sample_every=100), **changes
        )

    return make


def train(job, stop_at=None, seen=None):
    """Train, noting in `seen` how many clips are done; where `stop_at` is given, stop when so many are."""

    def on_clips(done, _):
        if seen is not None:
            seen.add(done)
        if stop_at is not None and done >= stop_at:
            raise InterruptedError

    return train_generator(job, Worker(), CPU, on_clips)


def weights_of(run):
    network = load_generator(locate(run / "generator.safetensors")).network
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_a_training_leaves_a_generator_and_figures_sounds_and_pictures(make_job, tmp_path):
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
    generator = load_generator(locate(tmp_path / "generator.safetensors"))
    assert generator.card.classes == ["high", "low"]
    assert generator.spectrograms(torch.zeros(2, 128), torch.tensor([0, 1])).shape == (2, 128, 512)


def test_the_recipe_trains_and_its_sounds_are_as_long_as_published(make_job, tmp_path):
    job = make_job(tmp_path)
    metrics = train(
        dataclasses.replace(
            job, config=dataclasses.replace(job.config, preset="reference", epochs=1)
        )
    )
    assert np.isfinite([metrics["loss_D"], metrics["loss_G"]]).all()
    assert soundfile.info(tmp_path / "samples" / "low_ep1.wav").frames == 511 * 256
    assert load_generator(locate(tmp_path / "generator.safetensors")).card.preset == "reference"


def test_an_interrupted_training_goes_on_from_its_last_whole_checkpoint_to_the_same_parameters(
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
    unlike = {"clips_per_s", "seconds"}
    ours, theirs = (pd.read_csv(folder / "cgan_epochs.csv") for folder in (run, tmp_path / "whole"))
    pd.testing.assert_frame_equal(ours.drop(columns=unlike), theirs.drop(columns=unlike))


def test_a_finished_training_is_not_trained_again(make_job, tmp_path):
    train(make_job(tmp_path))
    seen = set()
    train(make_job(tmp_path), seen=seen)
    assert seen == {EPOCHS * 32}  # not a step more


def test_checkpoints_of_other_settings_are_refused(make_job, tmp_path):
    with pytest.raises(InterruptedError):
        train(make_job(tmp_path), stop_at=40)
    with pytest.raises(
        UserError,
        match=r"checkpoints is of a training with other settings: choose another --run-dir",
    ):
        train(make_job(tmp_path, settings_sha256="others"))


def test_the_epoch_that_the_judge_finds_nearest_to_real_clips_is_kept(
    make_job, tmp_path, monkeypatch
):
    kernels = iter([0.4, 0.1, 0.3, 0.2, 0.15])  # four epochs, and the final judgment

    class Judged:
        def __init__(self, *_):
            pass

        def floor(self, num_clips):
            return judgment(0.0)

        def judge(self, waveforms, class_indices):
            assert len(waveforms) == len(class_indices)
            assert np.isfinite(waveforms).all()
            return judgment(next(kernels))

    def judgment(kernel):
        figures = {"accuracy": 0.5, "kernel": kernel}
        return RealismMetrics(
            num_clips=4, overall=figures, by_class={"high": figures, "low": figures}
        )

    monkeypatch.setattr(record, "JudgedClips", Judged)
    job = make_job(tmp_path, judge="anything")
    job = dataclasses.replace(
        job, config=dataclasses.replace(job.config, judge_every=1, judge_clips=1)
    )
    metrics = train(job)
    assert metrics["generator_epoch"] == 2
    assert metrics["judge"]["overall"]["kernel"] == 0.15
    assert pd.read_csv(tmp_path / "cgan_epochs.csv")["judge/kernel"].tolist() == [
        0.4,
        0.1,
        0.3,
        0.2,
    ]
    assert load_generator(locate(tmp_path / "generator.safetensors")).card.epochs == 2


def test_gradients_that_stay_infinite_stop_the_training_with_the_reason(
    make_job, tmp_path, monkeypatch
):
    monkeypatch.setitem(cgan_config.PRESETS, "default", small("default", learning_rate=1e30))
    with pytest.raises(
        FloatingPointError, match=r"gradients were not finite in \d+ of 8 steps of epoch \d"
    ):
        train(make_job(tmp_path))
    assert not (tmp_path / "generator.safetensors").exists()
