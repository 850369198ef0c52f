"""Evaluations during a training, and the epoch that they select."""

import dataclasses
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from freqquest.cgan import config as cgan_config
from freqquest.cgan import devices, recorder
from freqquest.cgan.background import Background
from freqquest.cgan.distributed import Worker
from freqquest.cgan.evaluation import Evaluation
from freqquest.cgan.generator_file import read_generator
from freqquest.cgan.judging import NearestClips
from freqquest.cgan.real_clips import CLASSIFIER
from freqquest.cgan.realism import RealismMetrics
from freqquest.cgan.training_loop import run_training
from tests.cgan.conftest import CPU, small, threads, train_job
from tests.cgan.test_judging import FakeJudge


def realism(kernel, by_embedding):
    spaces = []
    for value, space in (
        (kernel, CLASSIFIER),
        (by_embedding, CLASSIFIER._replace(name="embedding")),
    ):
        metrics = {"accuracy": 0.5, "kernel": value}
        by_class = {"high": metrics, "low": metrics}
        spaces.append(RealismMetrics(num_clips=4, overall=metrics, by_class=by_class, space=space))
    return Evaluation(spaces)


class FakeEvaluator:
    """Evaluator of four epochs and of the final generator.

    The last epoch is best by the classifier, the first by the embedding, the second by both.
    """

    def __init__(self, *_):
        self.kernels = iter([(0.4, 0.1), (0.2, 0.15), (0.3, 0.2), (0.1, 0.6), (0.15, 0.25)])

    def real_baseline(self, num_clips):
        return realism(0.0, 0.05)

    def evaluate(self, waveforms, class_indices):
        assert len(waveforms) == len(class_indices)
        assert np.isfinite(waveforms).all()
        return realism(*next(self.kernels))

    def find_nearest(self, waveforms, class_indices):
        rows = {"path": "gone.wav", "start_s": 0.0, "end_s": np.nan, "recording": "1", "label": "a"}
        nearest = NearestClips(pd.DataFrame([rows] * len(waveforms)), np.ones(len(waveforms)))
        return np.eye(2)[class_indices], nearest


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


def test_the_epoch_closest_to_real_clips_in_all_spaces_is_kept(judged_run):
    folder, metrics, _ = judged_run
    assert metrics["generator_epoch"] == 2
    generator = read_generator((folder / "generator.safetensors").read_bytes())
    assert generator.card.epochs == 2


def test_metrics_hold_each_judgment_and_the_final_one_beside_the_baseline(judged_run):
    folder, metrics, _ = judged_run
    epochs = pd.read_csv(folder / "cgan_epochs.csv")
    assert epochs["judge/kernel"].tolist() == [0.4, 0.2, 0.3, 0.1]
    assert epochs["embedding/kernel"].tolist() == [0.1, 0.15, 0.2, 0.6]
    assert epochs["judge/mixture"].tolist() == pytest.approx([0.25, 0.175, 0.25, 0.35])
    assert epochs["judge/mixture_real"].tolist() == [0.025] * 4
    assert metrics["judge"]["overall"]["kernel"] == 0.15
    assert metrics["baseline"]["overall"]["kernel"] == 0.0
    assert metrics["baseline_of_epochs"]["kernel"] == 0.0
    assert metrics["embedding"]["judge"]["overall"]["kernel"] == 0.25
    assert metrics["embedding"]["baseline_of_epochs"]["kernel"] == 0.05
    mixture = {"judge": 0.2, "baseline": 0.025, "baseline_of_epochs": 0.025}
    assert metrics["mixture"] == pytest.approx(mixture)
    table = (folder / "judge.txt").read_text()
    assert table.startswith("mixture, generated | real: 0.200 | 0.025;")
    assert "0.150 | 0.000" in table
    assert "0.250 | 0.050" in table


def test_notes_tell_that_clips_are_judged(judged_run):
    notes = judged_run[2]
    assert "epoch 1/4: judging its clips" in notes
    assert notes[-1] == "judging 4 clips of each class by epoch 2"
    assert any(note.endswith("judge 0.50") for note in notes)


LIMIT_S = 60
CLIPS_PER_EPOCH, STEP = 32, 4


class SlowJudge(FakeJudge):
    """Judge that first answers when some clips are done, and tells whether more were by then."""

    def __init__(self, after=0, before=0, error=None):
        super().__init__()
        self.after, self.before, self.error = after, before, error
        self.is_after, self.is_before = threading.Event(), threading.Event()
        self.was_late = None

    def on_clips(self, done, _):
        """Follow the training."""
        for limit, event in ((self.after, self.is_after), (self.before, self.is_before)):
            if done >= limit:
                event.set()

    def classify_waveforms(self, waveforms, sample_rate_hz):
        assert self.is_after.wait(LIMIT_S), "the training waits for the judge"
        if self.was_late is None:
            self.was_late = self.is_before.wait(2)
        if self.error is not None:
            raise self.error
        return super().classify_waveforms(waveforms, sample_rate_hz)


class AtOnce(Background):
    """Does all work before its caller goes on."""

    def submit(self, work, kind):
        super().submit(work, kind)
        self.wait()

    def is_behind(self):
        return True  # an epoch whose checkpoint is saved is in the table all the same


def train(dataset_dir, folder, judge, background=Background):
    """Train five epochs, of which the second, the fourth and the last are judged."""
    settings = {"epochs": 5, "sample_every": 100, "judge_every": 2, "judge_clips": 1}
    with pytest.MonkeyPatch.context() as patch, threads(1):  # another number rounds otherwise
        patch.setitem(cgan_config.PRESETS, "default", small("default"))
        patch.setattr(recorder, "_CHECKPOINT_INTERVAL_S", 0)
        patch.setattr(recorder, "Background", background)
        job = dataclasses.replace(train_job(dataset_dir, folder, **settings), judge=judge)
        run_training(job, Worker(), CPU, judge.on_clips)


@pytest.fixture(scope="module")
def in_order(dataset_dir, tmp_path_factory):
    """Run folder of a training that waits for its judge."""
    folder = tmp_path_factory.mktemp("in_order")
    train(dataset_dir, folder, SlowJudge(), AtOnce)
    return folder


def results_of(run):
    """Return the metrics of all epochs but those of speed and hardware."""
    epochs = pd.read_csv(run / "cgan_epochs.csv")
    shares = [name for name in epochs if name.endswith("_share")]
    return epochs.drop(columns=["clips_per_s", "seconds", "step_ms", "process_mib", *shares])


def assert_equal_results(run, other):
    pd.testing.assert_frame_equal(results_of(run), results_of(other))
    for name in ("generator.safetensors", "judge.txt", "samples/low_ep5.wav"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    names, others = (
        {path.name.rpartition("_")[0] for path in (folder / "checkpoints").glob("*score*.pt")}
        for folder in (run, other)
    )
    assert names == others  # epochs and scores, without the contents' hashes


def test_epochs_train_while_one_at_most_is_judged_and_the_results_are_those_of_waiting(
    dataset_dir, in_order, tmp_path
):
    # Epoch 2 is judged during epoch 4, and epoch 5 does not start before epoch 4 can be.
    judge = SlowJudge(after=3 * CLIPS_PER_EPOCH + STEP, before=4 * CLIPS_PER_EPOCH + STEP)
    train(dataset_dir, tmp_path, judge)
    assert judge.was_late is False
    assert_equal_results(tmp_path, in_order)
    judged = pd.read_csv(tmp_path / "cgan_epochs.csv")["judge/kernel"]
    assert judged.notna().tolist() == [False, True, False, True, True]


class LateJudge(FakeJudge):
    """Judge that first answers when the training has begun."""

    def __init__(self):
        super().__init__()
        self.has_begun = threading.Event()

    def on_clips(self, done, _):
        """Follow the training."""
        if done:
            self.has_begun.set()

    def classify_inputs(self, inputs):
        assert self.has_begun.wait(LIMIT_S), "the training waits for the judge"
        return super().classify_inputs(inputs)


def test_the_training_begins_while_the_judge_classifies_the_real_clips(
    dataset_dir, in_order, tmp_path
):
    train(dataset_dir, tmp_path, LateJudge())
    assert_equal_results(tmp_path, in_order)


def test_a_training_that_is_cut_off_while_the_judge_works_continues_to_the_same_results(
    dataset_dir, in_order, tmp_path
):
    cut_off = SlowJudge(
        after=3 * CLIPS_PER_EPOCH + STEP, error=InterruptedError("the machine is gone")
    )
    with pytest.raises(InterruptedError, match="the machine is gone"):
        train(dataset_dir, tmp_path, cut_off)
    saved = [path.name[:12] for path in (tmp_path / "checkpoints").glob("*.pt")]
    assert saved == ["epoch_000001"]  # nothing since the epoch that was not judged
    train(dataset_dir, tmp_path, SlowJudge())
    assert_equal_results(tmp_path, in_order)


def test_checkpoints_hold_a_copy_of_the_weights_in_the_cpus_memory():
    weights = torch.arange(4.0)
    state = {"generator": {"weight": weights}, "betas": (0.5, [weights]), "num_updates": 3}
    copied = devices.copy_to_host(state)
    weights += 1
    assert copied["generator"]["weight"].tolist() == [0, 1, 2, 3]
    assert copied["betas"][1][0].tolist() == [0, 1, 2, 3]
    assert copied["num_updates"] == 3
