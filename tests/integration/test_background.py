"""A class of background, from its folder through every stage."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.cgan.generator_file import load_generator
from freqquest.cnn.model_file import read_card
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.cnn.conftest import predict_here
from tests.conftest import RATE_HZ, write_clips

BUDGET = ["--num-trials", 1, "--max-epochs", 1, "--num-members", 0, "--epochs", 1, "--num-clips", 1]


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory):
    """Clips of two classes, and three background files of 9 s."""
    root = write_clips(tmp_path_factory.mktemp("audio") / "train", num_recordings=3)
    (root / "_background").mkdir()
    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal(9 * RATE_HZ)
        soundfile.write(root / "_background" / f"{number}.wav", noise, RATE_HZ)
    return root


@pytest.mark.slow
def test_every_stage_works_with_a_background_and_none_answers_or_generates_it(
    job, small_networks, audio_dir, tmp_path, monkeypatch
):
    predict_here(monkeypatch)
    test_dir, run = tmp_path / "test", tmp_path / "run"
    shutil.copytree(audio_dir / "_background", test_dir)
    done = job(
        "pipeline", "--audio-dir", audio_dir, "--test-dir", test_dir, "--run-dir", run,
        *BUDGET,
    )  # fmt: skip
    manifest = load_manifest(locate(run / "dataset"))
    assert manifest.background_label == "_background"
    assert manifest.num_clips["train"]["_background"] == 6
    assert "background: class _background" in done.stderr
    card = read_card(locate(run / "best_model.keras"))
    assert card.background_label == "_background"
    assert card.most_frequent_class != "_background"
    assert len(card.detection_thresholds) == 3
    assert set(pd.read_csv(run / "submission.csv")["Class"]) <= {"high", "low"}
    assert load_generator(locate(run / "generator.safetensors"), "generator").card.classes == [
        "high",
        "low",
    ]
    assert set(pd.read_csv(run / "generated.csv")["label"]) == {"high", "low"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["cnn"]["by_class"]) == {"_background", "high", "low"}
    assert metrics["cnn"]["audit"]["sentence"].startswith("leakage audit")
    assert "learned but never an answer: _background." in (run / "report.html").read_text()
    assert (run / "confusion_matrix.png").stat().st_size
