"""The detect job: events of recordings, and a job that is killed."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.detection.parts import read_part
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, write_classifier
from tests.conftest import RATE_HZ
from tests.integration.conftest import start


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """An untrained classifier whose predictions differ between windows."""
    return write_classifier(locate(tmp_path_factory.mktemp("model") / "best_model.keras"), CLASSES)


def write_noise(file, seconds):
    """Noise whose level changes every five seconds."""
    rng = np.random.default_rng(0)
    levels = np.repeat(10 ** rng.uniform(-3, -1, seconds // 5), 5 * RATE_HZ)
    soundfile.write(file, levels * rng.standard_normal(len(levels)), RATE_HZ)


@pytest.mark.slow
def test_a_killed_job_goes_on_with_the_same_command(job, local_ray, tmp_path, model_file):
    (tmp_path / "in").mkdir()
    write_noise(tmp_path / "in" / "long.wav", 1800)
    arguments = ["--model", model_file, "--audio-dir", tmp_path / "in", "--min-confidence", "0.3"]
    arguments += ["--piece-length", "60", "--output"]
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

    read = []
    with pytest.MonkeyPatch.context() as patch:
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
