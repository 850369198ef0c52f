"""Training and generation on a machine with torch, NumPy, SciPy and safetensors alone."""

import subprocess
import sys

import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.images import image_scale
from freqquest.cgan.packed_clips import pack
from tests.cgan.conftest import FakeSource

BLOCK_OTHERS = """
import sys

ALLOWED = {"torch", "torchgen", "functorch", "numpy", "scipy", "safetensors", "freqquest"}
ALLOWED |= {"typing_extensions", "sympy", "mpmath"}  # torch requires these itself

class WithoutOthers:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package in ALLOWED or package in sys.stdlib_module_names or package.startswith("_"):
            return self.finder.find_spec(name, path, target)
        return None

sys.meta_path[:] = [WithoutOthers(finder) for finder in sys.meta_path]
"""

TRAIN_AND_GENERATE = """
import dataclasses
from pathlib import Path

import numpy as np
import torch

from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan import augment, distances, distributed, losses
from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.config import CganConfig
from freqquest.cgan.distributed import Worker
from freqquest.cgan.epoch import train_epoch
from freqquest.cgan.generator import Generator
from freqquest.cgan.generator_file import GeneratorCard, generator_bytes, read_generator
from freqquest.cgan.packed_clips import PackedClips
from freqquest.cgan.trainer import CganTrainer

torch.set_num_threads(1)
source = PackedClips(Path(sys.argv[1]))
cgan_config = CganConfig(generator_channels=16, discriminator_channels=16, batch_size=4)
trainer = CganTrainer(cgan_config, 2, source.scale, torch.device("cpu"), seed=0)
clips = ClipBatches(source, source.scale, torch.device("cpu"))
for epoch in range(2):
    batches = clips.epoch(4, seed=0, epoch=epoch, worker=Worker())
    metrics = train_epoch(trainer, batches, num_steps=2, epoch=epoch, seed=0, worker=Worker())
assert all(np.isfinite(list(metrics.values()))), metrics
card = GeneratorCard(
    classes=source.classes, sample_rate_hz=22_050, view=CGAN_VIEW, scale=source.scale,
    cgan_config=cgan_config, preset="default", epochs=2, dataset_sha256="0",
)
content = generator_bytes(trainer.averaged_generator.state_dict(), card)
waveforms = Generator(read_generator(content)).generate("low", num_clips=1)
assert waveforms.shape == (1, 344 * 256) and np.isfinite(waveforms).all()
points = np.random.default_rng(0).standard_normal((8, 4))
assert distances.kernel_distance(points, points + 9, width=3.0) > 0.5
print("trained and generated")
"""

GPU_COMMAND = """
import torch

from freqquest.benchmark import gpu

torch.set_num_threads(1)
gpu.main(["train", *sys.argv[1:], "--device", "cpu", "--epochs", "1", "--batch-size", "4"])
"""


@pytest.fixture(scope="module")
def packed_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("packed") / "train.npz"
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    pack(FakeSource([3, 5]), scale, ["high", "low"], file, view=CGAN_VIEW, sample_rate_hz=22_050)
    return file


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCK_OTHERS + code, *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_block_hides_other_packages():
    assert "No module named 'pandas'" in run("import pandas").stderr
    assert "No module named 'ray'" in run("import ray").stderr


def test_packed_images_train_a_generator_that_generates(packed_file):
    done = run(TRAIN_AND_GENERATE, packed_file)
    assert done.stdout == "trained and generated\n", done.stderr[-2000:]


def test_the_command_for_gpu_machines_needs_no_more(packed_file, tmp_path):
    output = tmp_path / "generator.safetensors"
    done = run(GPU_COMMAND, packed_file, "--output", output)
    assert output.exists(), done.stderr[-2000:]
