"""Evaluations during a training, and the epoch that they select."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from freqquest.cgan import config as cgan_config
from freqquest.cgan import recorder
from freqquest.cgan.distributed import Worker
from freqquest.cgan.generator_file import read_generator
from freqquest.cgan.realism import RealismMetrics
from freqquest.cgan.training_loop import run_training
from tests.cgan.conftest import CPU, small, train_job


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
