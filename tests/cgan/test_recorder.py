"""Evaluations during a training, and the epoch that they select."""

import dataclasses
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from freqquest.cgan import config as cgan_config
from freqquest.cgan import recorder
from freqquest.cgan.background import Background
from freqquest.cgan.distributed import Worker
from freqquest.cgan.generator_file import read_generator
from freqquest.cgan.realism import RealismMetrics
from freqquest.cgan.training_loop import run_training
from tests.cgan.conftest import CPU, small, train_job
from tests.cgan.test_judging import FakeJudge


def realism(kernel):
    metrics = {"accuracy": 0.5, "kernel": kernel}
    return RealismMetrics(num_clips=4, overall=metrics, by_class={"high": metrics, "low": metrics})


class FakeEvaluator:
    """Evaluator of four epochs, of which the second is best, and of the final generator."""

    def __init__(self, *_):
        self.kernels = iter([0.4, 0.1, 0.3, 0.2, 0.15])

    def real_baseline(self, num_clips):
        return realism(0.0)

    def evaluate(self, waveforms, class_indices):
        assert len(waveforms) == len(class_indices)
        assert np.isfinite(waveforms).all()
        return realism(next(self.kernels))


@pytest.fixture(scope="module")
def judged_run(dataset_dir, tmp_path_factory):
    """Run folder and metrics of a training that was judged after each epoch."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cgan_config.PRESETS, "default", small("default"))
        patch.setattr(recorder, "_CHECKPOINT_INTERVAL_S", 0)
        patch.setattr(recorder, "RealismEvaluator", FakeEvaluator)
        settings = {"epochs": 4, "sample_every": 100, "judge_every": 1, "judge_clips": 1}
        job = dataclasses.replace(train_job(dataset_dir, folder, **settings), judge="a judge")
        notes = []
        metrics = run_training(job, Worker(), CPU, lambda _, note: notes.append(note))
    return folder, metrics, notes


def test_the_epoch_closest_to_real_clips_is_kept(judged_run):
    folder, metrics, _ = judged_run
    assert metrics["generator_epoch"] == 2
    generator = read_generator((folder / "generator.safetensors").read_bytes())
    assert generator.card.epochs == 2


def test_metrics_hold_each_judgment_and_the_final_one_beside_the_baseline(judged_run):
    folder, metrics, _ = judged_run
    kernels = pd.read_csv(folder / "cgan_epochs.csv")["judge/kernel"]
    assert kernels.tolist() == [0.4, 0.1, 0.3, 0.2]
    assert metrics["judge"]["overall"]["kernel"] == 0.15
    assert metrics["baseline"]["overall"]["kernel"] == 0.0
    assert metrics["baseline_of_epochs"]["kernel"] == 0.0
    assert "0.150 | 0.000" in (folder / "judge.txt").read_text()


def test_notes_tell_that_clips_are_judged(judged_run):
    notes = judged_run[2]
    assert "epoch 1/4: judging its clips" in notes
    assert notes[-1] == "judging 4 clips of each class by epoch 2"
    assert any(note.endswith("judge 0.50") for note in notes)


LIMIT_S = 30
STEPS, CLIPS_PER_EPOCH = 8, 32


class SlowJudge(FakeJudge):
    """Judge that answers for an epoch's clips only after some clips of later epochs."""

    def __init__(self, until=0, error=None):
        super().__init__()
        self.until, self.error = until, error
        self.reached, self.answers = threading.Event(), []

    def on_clips(self, done, _):
        if done >= self.until:
            self.reached.set()

    def classify_waveforms(self, waveforms, sample_rate_hz):
        assert self.reached.wait(LIMIT_S), "training waits for the judge"
        if self.error is not None:
            raise self.error
        self.answers.append(len(waveforms))
        return super().classify_waveforms(waveforms, sample_rate_hz)


class AtOnce(Background):
    """Does all work before its caller goes on."""

    def submit(self, work, kind):
        super().submit(work, kind)
        self.wait()


@pytest.fixture
def train(dataset_dir, tmp_path, monkeypatch):
    """Train six epochs, of which every second is judged, in a folder of this name."""
    monkeypatch.setitem(cgan_config.PRESETS, "default", small("default"))
    monkeypatch.setattr(recorder, "_CHECKPOINT_INTERVAL_S", 0)
    settings = {"epochs": 6, "sample_every": 3, "judge_every": 2, "judge_clips": 2}

    def run(name, judge):
        job = train_job(dataset_dir, tmp_path / name, **settings)
        run_training(dataclasses.replace(job, judge=judge), Worker(), CPU, judge.on_clips)
        return tmp_path / name

    return run


def results_of(run):
    """Return the metrics of all epochs but those of speed and hardware."""
    epochs = pd.read_csv(run / "cgan_epochs.csv")
    shares = [name for name in epochs if name.endswith("_share")]
    return epochs.drop(columns=["clips_per_s", "seconds", "step_ms", "process_mib", *shares])


def assert_equal_results(run, other):
    pd.testing.assert_frame_equal(results_of(run), results_of(other))
    for name in ("generator.safetensors", "judge.txt", "samples/low_ep3.wav"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    names, others = (
        sorted(path.name.rpartition("_")[0] for path in (folder / "checkpoints").glob("*.pt"))
        for folder in (run, other)
    )
    assert names == others  # epochs and scores, without the contents' hashes


def test_the_next_epoch_trains_while_the_judge_works_and_the_results_are_the_same(
    train, monkeypatch
):
    # The judge answers for epoch 2 only when a step of epoch 4 is done.
    meanwhile = train("meanwhile", SlowJudge(until=3 * CLIPS_PER_EPOCH + 4))
    monkeypatch.setattr(recorder, "Background", AtOnce)
    assert_equal_results(meanwhile, train("in_order", SlowJudge()))
    judged = pd.read_csv(meanwhile / "cgan_epochs.csv")["judge/kernel"]
    assert judged.notna().tolist() == [False, True] * 3


def test_a_judge_slower_than_the_training_has_one_epoch_waiting_at_most(train):
    judge = SlowJudge(until=5 * CLIPS_PER_EPOCH)  # epoch 4 is to be judged before
    waiting = []
    wait = judge.reached.wait
    judge.reached.wait = lambda _: waiting.append(1) or wait(0.2) or True
    train("run", judge)
    assert judge.answers == [4, 4, 4, 16]


def test_a_training_that_is_cut_off_while_the_judge_works_continues_to_the_same_results(train):
    died = SlowJudge(until=3 * CLIPS_PER_EPOCH, error=InterruptedError("the machine is gone"))
    with pytest.raises(InterruptedError, match="the machine is gone"):
        train("cut_off", died)
    run = train("cut_off", SlowJudge())
    assert_equal_results(run, train("whole", SlowJudge()))


def test_an_error_of_the_judge_ends_the_training(train, tmp_path):
    judge = SlowJudge(until=2 * CLIPS_PER_EPOCH + 4, error=ValueError("waveform 3 has NaN"))
    seen = []
    on_clips = judge.on_clips
    judge.on_clips = lambda done, note: seen.append(done) or on_clips(done, note)
    with pytest.raises(ValueError, match="waveform 3 has NaN"):
        train("run", judge)
    assert max(seen) < 6 * CLIPS_PER_EPOCH
    saved = [path.name[:12] for path in (tmp_path / "run" / "checkpoints").glob("*.pt")]
    assert saved == ["epoch_000001"]  # nothing after the epoch that could not be judged


def test_checkpoints_hold_a_copy_of_the_weights_in_the_cpus_memory():
    weights = torch.arange(4.0)
    state = {"generator": {"weight": weights}, "betas": (0.5, [weights]), "num_updates": 3}
    copied = recorder._copy_to_host(state)
    weights += 1
    assert copied["generator"]["weight"].tolist() == [0, 1, 2, 3]
    assert copied["betas"][1][0].tolist() == [0, 1, 2, 3]
    assert copied["num_updates"] == 3
