"""The detect job: events of recordings, and a job that is killed."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.benchmark.events_recordings import Sound, make_recordings
from freqquest.detection.parts import read_part
from tests.conftest import RATE_HZ
from tests.detection.conftest import listen_here
from tests.integration.conftest import start

REAL_F1 = 0.3
"""0.54 was measured, and 0.18 on average with the labels of the events shuffled."""


def write_noise(file, seconds):
    """Noise whose level changes every five seconds."""
    rng = np.random.default_rng(0)
    levels = np.repeat(10 ** rng.uniform(-3, -1, seconds // 5), 5 * RATE_HZ)
    soundfile.write(file, levels * rng.standard_normal(len(levels)), RATE_HZ)


@pytest.mark.slow
def test_a_killed_job_goes_on_with_the_same_command(
    job, local_ray, tmp_path, model_file, monkeypatch
):
    (tmp_path / "in").mkdir()
    write_noise(tmp_path / "in" / "long.wav", 1200)
    arguments = ["--model", model_file, "--audio-dir", tmp_path / "in", "--min-confidence", "0.3"]
    arguments += ["--piece-length", "40", "--output"]
    parts = tmp_path / "events.csv.parts"
    with start(local_ray, "detect", *arguments, tmp_path / "events.csv") as process:
        deadline = time.monotonic() + 120
        while len(list(parts.glob("*.npz"))) < 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in parts.glob("*.npz")}
    assert len(kept) < 29, "the job had nearly finished"
    assert not (tmp_path / "events.csv").exists()

    listen_here(monkeypatch)
    read = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "freqquest.detection.scan.read_part",
            lambda file: read.append((file.name, mtime_of(file))) or read_part(file),
        )
        job("detect", *arguments, tmp_path / "events.csv")
    assert kept.items() <= dict(read).items(), "finished parts were made again"
    job("detect", *arguments[:-3], "--output", tmp_path / "at_once.csv")
    assert (tmp_path / "events.csv").read_text() == (tmp_path / "at_once.csv").read_text()
    assert len(pd.read_csv(tmp_path / "events.csv")) > 3
    assert not parts.exists()


def mtime_of(file):
    return Path(file.path).stat().st_mtime_ns


def copy_training_clips(real_data, folder):
    """Copy at most two clips of each recording of folds 1 and 2, to train quickly."""
    table = pd.read_csv(real_data / "metadata.csv")
    chosen = table[table["fold"] != 3].groupby("fsID").head(2)
    for label, name in zip(chosen["class"], chosen["slice_file_name"], strict=True):
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(real_data / "train" / label / name, folder / label / name)
    chosen.to_csv(folder.parent / "metadata.csv", index=False)


def write_recordings(real_data, folder, seed):
    """Write recordings made of clips of fold 3, with noise between them, and their references."""
    table = pd.read_csv(real_data / "metadata.csv")
    sounds = []
    for row in table[table["fold"] == 3].itertuples():
        file = real_data / "train" / row[5] / row.slice_file_name
        waveform, rate_hz = soundfile.read(file)
        sounds.append(Sound(waveform=waveform, label=row[5], source=str(row.fsID)))
    folder.mkdir()
    recordings = list(make_recordings(sounds, rate_hz, seed))
    for recording in recordings:
        soundfile.write(folder / recording.name, recording.waveform, rate_hz)
    references = pd.concat([recording.references for recording in recordings])
    references.to_csv(folder.parent / "truth.csv", index=False)


@pytest.mark.slow
def test_events_of_real_clips_in_noise_are_found(job, real_data, tmp_path, monkeypatch):
    copy_training_clips(real_data, tmp_path / "train")
    write_recordings(real_data, tmp_path / "recordings", seed=0)
    job(
        "preprocess",
        *("--audio-dir", tmp_path / "train", "--metadata", tmp_path / "metadata.csv"),
        *("--dataset-dir", tmp_path / "dataset"),
    )
    job(
        "tune_cnn",
        *("--dataset-dir", tmp_path / "dataset", "--run-dir", tmp_path / "run"),
        *("--num-trials", 1, "--num-members", 0, "--max-epochs", 5),
        *("--only", "num_filters=16"),
    )
    detect = ["--model", tmp_path / "run" / "best_model.keras"]
    detect += ["--audio-dir", tmp_path / "recordings", "--annotations", tmp_path / "truth.csv"]
    listen_here(monkeypatch)
    job("detect", *detect, "--output", tmp_path / "events.csv")
    scores = json.loads((tmp_path / "events.csv.scores.json").read_text())
    assert scores["event_based"]["micro"]["num_annotated"] > 80
    assert scores["event_based"]["micro"]["f1"] > REAL_F1
