"""The commands for a bare GPU machine, on a CPU with small networks."""

import json
from functools import partial

import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.benchmark import gpu, gpu_agreement, gpu_speed, gpu_training
from freqquest.benchmark.inversion_speed import measure_inversion
from freqquest.cgan.generator import Generator
from freqquest.cgan.graphs import EagerCapturer
from freqquest.cgan.images import image_scale
from freqquest.cgan.packed_clips import PackedClips, pack
from tests.cgan.conftest import FakeSource, one_thread, small  # noqa: F401  # a fixture


@pytest.fixture
def packed_file(tmp_path):
    file = tmp_path / "clips.npz"
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    source = FakeSource([5, 3])
    pack(source, scale, ["high", "low"], file, view=CGAN_VIEW, sample_rate_hz=22_050)
    return file


@pytest.fixture(autouse=True)
def small_and_short(monkeypatch):
    monkeypatch.setitem(gpu_training.CONFIGS, "default", small("default"))
    monkeypatch.setattr(gpu_speed, "_WARM_UP", 2)
    monkeypatch.setattr(gpu_speed, "_NUM_RUNS", 1)
    monkeypatch.setattr(gpu_agreement, "_NUM_STEPS", 10)
    monkeypatch.setattr(gpu_agreement, "_RESTART_AT", 4)
    monkeypatch.setattr(gpu, "measure_inversion", partial(measure_inversion, num_clips=1))


def run(file, output):
    arguments = ["run", str(file), "--output", str(output), "--device", "cpu"]
    arguments += ["--networks", "default", "--batch-sizes", "2", "--num-steps", "2"]
    gpu.main(arguments)
    return json.loads(output.read_text())


def test_a_run_checks_results_and_measures_speed(packed_file, tmp_path):
    results = run(packed_file, tmp_path / "gpu.json")
    assert {each["name"]: each["agrees"] for each in results["agreement"]} == {
        "plain": True,
        "graphs": True,
        "graphs, communicating": True,
        "graphs, restarted": True,
    }
    assert [(speed["mode"], speed["batch_size"]) for speed in results["speed"]] == [
        ("plain", 2),
        ("graphs", 2),
    ]
    for speed in results["speed"]:
        assert speed["clips_per_s"] == pytest.approx(2 / speed["step_ms"] * 1000)
        assert 0 < speed["least_fused_step_ms"] < speed["least_step_ms"]
        assert speed["gpu_busy"] is None
    assert results["inversion"]["device_s"] > 0


def test_a_replay_that_does_not_train_is_found(packed_file, tmp_path, monkeypatch):
    monkeypatch.setattr(EagerCapturer, "capture", lambda *_: lambda: None)
    monkeypatch.setattr(gpu, "measure_speed", lambda *_, **__: {})
    agrees = {
        each["name"]: each["agrees"]
        for each in run(packed_file, tmp_path / "gpu.json")["agreement"]
    }
    assert agrees["plain"]
    assert not agrees["graphs"]


def test_a_trained_generator_makes_clips(packed_file, tmp_path):
    output = tmp_path / "generator.safetensors"
    arguments = ["train", str(packed_file), "--output", str(output), "--device", "cpu"]
    gpu.main([*arguments, "--epochs", "2", "--batch-size", "4"])
    waveforms = Generator.load(output).generate("low", num_clips=1)
    assert np.isfinite(waveforms).all()


def test_a_dataset_is_packed_for_training(dataset_dir, tmp_path):
    file = tmp_path / "clips.npz"
    gpu.main(["pack", str(dataset_dir), str(file)])
    assert len(PackedClips(file)) > 0
