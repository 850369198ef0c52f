import dataclasses
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.cgan.devices import threads
from freqquest.cgan.distributed import Worker
from freqquest.cgan.epoch import EpochMetrics, train_epoch
from freqquest.cgan.generator_file import GeneratorCard
from freqquest.cgan.images import image_scale
from freqquest.cgan.networks.build import build_generator
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.order import batch_rows, rank_slice
from freqquest.storage import locate

CPU = torch.device("cpu")

BOTH_PRESETS = pytest.mark.parametrize("preset", ["reference", "default"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Avoid several threads for small tasks, as they wait for each other on busy cores."""
    with threads(1):
        yield


def small(preset: str, **changes: object) -> CganConfig:
    """Return a preset with small batches and exact arithmetic, and small networks if possible."""
    sizes = {"generator_channels": 16, "discriminator_channels": 16} if preset == "default" else {}
    return dataclasses.replace(
        PRESETS[preset],
        **{"batch_size": 4, "precision": "float32", "inversion": "recipe"} | sizes | changes,
    )


def trainer(cgan_config: CganConfig, seed: int = 0) -> CganTrainer:
    scale = image_scale(CGAN_VIEW, ClipConfig(), cgan_config.floor)
    return CganTrainer(cgan_config, num_classes=2, scale=scale, device=CPU, seed=seed)


def clips(num_clips: int, seed: int = 0) -> torch.Tensor:
    """Return spectrograms `[N, M, T]` of noise."""
    return torch.from_numpy(
        np.random.default_rng(seed).exponential(size=(num_clips, 128, 512)).astype(np.float32)
    )


class FakeSource:
    """Clip source of noise, in shards of the given sizes."""

    def __init__(self, shard_sizes: Sequence[int]) -> None:
        self.shard_sizes = list(shard_sizes)
        self.spectrograms = clips(len(self)).half().numpy()
        self.class_indices = np.arange(len(self)) % 2
        self.labels = np.eye(2, dtype=bool)[self.class_indices]

    def __len__(self):
        return sum(self.shard_sizes)

    def shards(self):
        ends = np.cumsum(self.shard_sizes)
        yield from (
            self._select(slice(end - size, end))
            for end, size in zip(ends, self.shard_sizes, strict=True)
        )

    def rows(self, batch_size, **order):
        return batch_rows(self.shard_sizes, batch_size, **order)

    def batches(self, batch_size, **order):
        return map(self._select, self.rows(batch_size, **order))

    def _select(self, rows):
        return SimpleNamespace(
            spectrograms=self.spectrograms[rows],
            class_indices=self.class_indices[rows],
            labels=self.labels[rows],
        )


def batches(
    model: CganTrainer, worker: Worker, num_steps: int = 2
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield a worker's share of batches that are always the same."""
    size = model.cgan_config.batch_size
    share = list(rank_slice(size, worker.rank, worker.world_size))
    for step in range(num_steps):
        yield model.scale.encode(clips(size, seed=step))[share], torch.arange(size)[share] % 2


def epoch(
    model: CganTrainer, number: int = 0, worker: Worker | None = None, num_steps: int = 2
) -> EpochMetrics:
    """Train for an epoch, and return its metrics without its times."""
    worker = worker or Worker()
    steps = batches(model, worker, num_steps)
    metrics = train_epoch(model, steps, num_steps=num_steps, epoch=number, seed=0, worker=worker)
    return {name: value for name, value in metrics.items() if not name.endswith("_share")}


def weights(model: CganTrainer) -> torch.Tensor:
    """Return all parameters of both networks."""
    networks = (model.generator, model.discriminator)
    return torch.cat(
        [value.detach().flatten() for network in networks for value in network.parameters()]
    )


def card(preset: str, **changes: object) -> GeneratorCard:
    cgan_config = small(preset, **changes)
    return GeneratorCard(
        classes=["bark", "siren"],
        sample_rate_hz=22_050,
        view=CGAN_VIEW,
        scale=image_scale(CGAN_VIEW, ClipConfig(), cgan_config.floor),
        cgan_config=cgan_config,
        preset=preset,
        epochs=1,
        dataset_sha256="0",
    )


def loud_weights(preset: str, **changes: object) -> dict[str, torch.Tensor]:
    """Return untrained weights with the last layer amplified until clips are audible."""
    torch.manual_seed(0)
    untrained = build_generator(small(preset, **changes), 2, card(preset).scale).state_dict()
    last = [name for name in untrained if name.endswith(".weight")][-1]
    return untrained | {last: untrained[last] * (500 if preset == "reference" else 5)}


def train_job(dataset_dir: object, run: object, **settings: int) -> TrainJob:
    """Return a training that this process can run by itself."""
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
