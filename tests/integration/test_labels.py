"""Clips with several labels, from their table to predictions and a generator."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.cgan import config as cgan_config
from freqquest.cgan.distributed import Worker
from freqquest.cgan.label_order import LabelOrder
from freqquest.cgan.training_loop import run_training
from freqquest.cnn.classifier import Classifier
from freqquest.cnn.model_file import read_card
from freqquest.cnn.tune import tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.write import write_dataset
from freqquest.runs.layout import PREDICTIONS_NAME
from freqquest.runs.report import summarize, write_report
from freqquest.storage import locate
from tests.cgan.conftest import CPU, small, threads, train_job

RATE_HZ = 8_000
PITCHES_HZ = {"low": 200.0, "high": 1500.0}
KINDS = ("low", "high", "high;low")


def sound(kind: str, seed: int) -> np.ndarray:
    """Return half a second of the tones of some labels, and noise."""
    time, rng = np.arange(RATE_HZ // 2) / RATE_HZ, np.random.default_rng(seed)
    tones = [np.sin(2 * np.pi * PITCHES_HZ[label] * time) for label in kind.split(";")]
    waveform: np.ndarray = 0.2 * np.sum(tones, axis=0) + 0.01 * rng.standard_normal(len(time))
    return waveform


@pytest.fixture(scope="module")
def dataset(local_ray, tmp_path_factory):
    """A dataset of 15 recordings of two clips; a third of them have both tones, and both labels."""
    root = tmp_path_factory.mktemp("labels")
    (root / "audio").mkdir()
    lines = ["path,label,recording"]
    for number in range(30):
        kind = KINDS[number // 2 % 3]
        soundfile.write(root / "audio" / f"{number}.wav", sound(kind, number), RATE_HZ)
        lines.append(f"{number}.wav,{kind},r{number // 2}")
    (root / "clips.csv").write_text("\n".join(lines))
    config = PreprocessConfig(
        audio_dir=str(root / "audio"),
        metadata=str(root / "clips.csv"),
        dataset_dir=str(root / "dataset"),
        sample_rate=RATE_HZ,
        duration=0.5,
        num_mels=32,
    )
    write_dataset(config)
    return root / "dataset"


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """The run folder of a search of one trial."""
    run = tmp_path_factory.mktemp("run")
    settings = {
        "num_blocks": 1,
        "num_filters": 8,
        "input_pooling": 1,
        "normalization": "dataset",
        "mixup": 0.1,
        "min_steps": 20,
        "label_smoothing": 0.1,
    }
    config = TuneConfig(
        dataset_dir=str(dataset),
        run_dir=str(run),
        num_trials=1,
        max_epochs=4,
        num_members=0,
        only=tuple(f"{name}={value}" for name, value in settings.items()),
    )
    tune_cnn(config)
    return run


def test_a_search_learns_each_label_and_reports_mean_average_precision(run):
    metrics = json.loads((run / "metrics.json").read_text())["cnn"]
    assert metrics["mean_average_precision"] > 0.9
    trials = pd.read_csv(run / "trials.csv")
    assert trials["state"].isin(["finished", "stopped early"]).all()
    assert trials["validation/mean_average_precision"].max() <= 1
    assert "validation/accuracy" not in trials
    assert (run / "class_scores.png").exists()
    assert not (run / "confusion_matrix.png").exists()
    card = read_card(locate(run / "best_model.keras"))
    assert card.scores["mean_average_precision"] == metrics["mean_average_precision"]
    assert len(card.thresholds) == len(card.temperature) == 2
    assert "classifier's mean average precision: " in summarize(str(run))
    write_report(str(run))
    page = (run / "report.html").read_text()
    assert 'alt="metrics of each class on the validation clips"' in page
    assert page.count('<article class="clip"') == len(pd.read_csv(run / PREDICTIONS_NAME))


def test_predictions_join_the_labels_that_are_heard(run, tmp_path):
    for number, kind in enumerate(KINDS):
        soundfile.write(tmp_path / f"{number}.wav", sound(kind, 100 + number), RATE_HZ)
    model = str(run / "best_model.keras")
    table = Classifier.load(model).predict([str(tmp_path / f"{n}.wav") for n in range(3)])
    for number, label in enumerate(("low", "high")):
        without, *others = table[f"probability_{label}"].iloc[[1 - number, number, 2]]
        assert without < min(others)
    for label, kind in zip(table["label"], KINDS, strict=True):
        assert set(kind.split(";")) <= set(label.split(";"))
    assert table["label"][2] == "high;low"


def test_a_generator_trains_on_such_clips(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(cgan_config.PRESETS, "default", small("default"))
    job, choose, chosen = train_job(dataset, tmp_path, epochs=2), LabelOrder.choose, []

    def spy(self, labels, rows, epoch):
        of_batch = choose(self, labels, rows, epoch)
        chosen.extend(zip(rows.tolist(), of_batch.tolist(), strict=True))
        return of_batch

    monkeypatch.setattr(LabelOrder, "choose", spy)
    with threads(1):
        metrics = run_training(job, Worker(), CPU, lambda *_: None)
    assert np.isfinite(metrics["loss_D"])
    labels_of_clip = Counter(row for row, _ in set(chosen))
    assert sorted(set(labels_of_clip.values())) == [1, 2]
    assert (tmp_path / "generator.safetensors").exists()
