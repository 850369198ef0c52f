"""Batch size by a GPU's memory, with the GPU's answers made up."""

import dataclasses

import pytest
import torch

from freqquest.cgan import batch_size
from freqquest.cgan.config import TrainConfig
from freqquest.cgan.images import image_scale
from freqquest.cgan.trainer import CganTrainer
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.cgan.conftest import CPU, small


@pytest.fixture
def manifest(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    manifest.num_rows["train"] = 1000
    return manifest


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of 100 bytes, on which each clip takes as many as the test says."""
    measured = []

    def install(bytes_per_clip):
        def step_bytes(cgan_config, *_):
            measured.append(cgan_config.batch_size)
            return bytes_per_clip * cgan_config.batch_size

        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100, 200))
        monkeypatch.setattr(batch_size, "_MEMORY_SHARE", 0.4)
        monkeypatch.setattr(batch_size, "_step_bytes", step_bytes)
        return measured

    return install


def config(**settings):
    return TrainConfig(dataset_dir="d", run_dir="r", batch_size="auto", use_gpu=True, **settings)


@pytest.mark.parametrize(
    ("bytes_per_clip", "size"), [(0.1, 64), (40 / 64, 64), (40 / 63, 32), (1.25, 32), (1.3, 16)]
)
def test_the_largest_doubling_that_fits_is_taken(manifest, gpu, bytes_per_clip, size):
    gpu(bytes_per_clip)
    assert batch_size.largest_batch_size(config(), manifest) == size


def test_workers_share_the_batch(manifest, gpu):
    measured = gpu(40 / 22)
    assert batch_size.largest_batch_size(config(num_workers="3:5"), manifest) == 64
    assert measured == [11, 22]


def test_a_batch_is_no_larger_than_the_dataset(manifest, gpu):
    gpu(0)
    manifest.num_rows["train"] = 63
    assert batch_size.largest_batch_size(config(), manifest) == 32


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_measured_step_has_a_whole_batch_and_the_penalty(manifest, monkeypatch, preset):
    steps, update = [], CganTrainer.update

    def watch(trainer, inputs, has_penalty):
        update(trainer, inputs, has_penalty)
        steps.append((len(inputs.real), has_penalty, trainer.pop_metrics()["skipped"]))

    monkeypatch.setattr(CganTrainer, "update", watch)
    cgan_config = dataclasses.replace(small(preset), batch_size=3)
    scale = image_scale(manifest.views["cgan"], manifest.clip, cgan_config.floor)
    batch_size.take_step(cgan_config, len(manifest.classes), scale, CPU)
    assert steps == [(3, preset == "default", 0)]


def test_a_step_that_does_not_fit_takes_infinitely_much(manifest, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(batch_size, "take_step", fail)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    assert batch_size._step_bytes(small("default"), 2, None, CPU) == float("inf")
