import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer, train_epoch
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.order import rank_slice
from freqquest.storage import locate

CPU = torch.device("cpu")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many of torch's in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of one small task wait for each other on busy cores."""
    with threads(1):
        yield


def small(preset: str, **changes: object) -> CganConfig:
    """A preset with small batches, and small networks where it has a choice; exact arithmetic."""
    sizes = {"generator_channels": 16, "discriminator_channels": 16} if preset == "default" else {}
    return dataclasses.replace(
        PRESETS[preset],
        **{"batch_size": 4, "precision": "float32", "inversion": "recipe"} | sizes | changes,
    )


def trainer(config: CganConfig, seed: int = 0) -> CganTrainer:
    scale = image_scale(CGAN_VIEW, ClipConfig(), config.floor)
    return CganTrainer(config, num_classes=2, scale=scale, device=CPU, seed=seed)


def clips(num_clips: int, seed: int = 0) -> torch.Tensor:
    """Spectrograms `[N, M, T]` of noise."""
    return torch.from_numpy(
        np.random.default_rng(seed).exponential(size=(num_clips, 128, 512)).astype(np.float32)
    )


def batches(
    model: CganTrainer, worker: Worker, num_steps: int = 2
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A worker's part of batches that are always the same."""
    size = model.config.batch_size
    mine = list(rank_slice(size, worker.rank, worker.world_size))
    for step in range(num_steps):
        yield model.scale.encode(clips(size, seed=step))[mine], torch.arange(size)[mine] % 2


def epoch(
    model: CganTrainer, number: int = 0, worker: Worker | None = None, num_steps: int = 2
) -> dict[str, float]:
    worker = worker or Worker()
    given = batches(model, worker, num_steps)
    return train_epoch(model, given, epoch=number, seed=0, worker=worker, on_step=lambda _: None)


def weights(model: CganTrainer) -> torch.Tensor:
    """All parameters of both networks."""
    networks = (model.generator, model.discriminator)
    return torch.cat(
        [value.detach().flatten() for network in networks for value in network.parameters()]
    )


def train_job(dataset_dir: object, run: object, **settings: int) -> TrainJob:
    """A training that this process can do by itself."""
    dataset = locate(str(dataset_dir))
    return TrainJob(
        dataset=dataset,
        manifest=load_manifest(dataset),
        run=locate(str(run)),
        config=TrainConfig(dataset_dir=str(dataset_dir), run_dir=str(run), **settings),
        progress=None,
        resources={},
        settings_sha256="settings",
        judge=None,
    )
