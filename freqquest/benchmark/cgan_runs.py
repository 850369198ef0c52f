"""The runs that the generator benchmark times.

They are the recipe's loop, freqquest's training, and the bare arithmetic of its networks.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn

from freqquest.benchmark.cgan_recipe import NOISE_DIM, RecipeClips, RecipeTraining, endless_batches
from freqquest.benchmark.gpu_training import batches_of_all_epochs
from freqquest.cgan.batches import Batch, ClipBatches
from freqquest.cgan.config import PRESETS
from freqquest.cgan.devices import use_fast_kernels
from freqquest.cgan.distributed import Worker
from freqquest.cgan.epoch import train_epoch
from freqquest.cgan.images import image_scale
from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.trainer import PENALTY_EVERY, CganTrainer
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import locate

CONFIGS = {
    "reference": PRESETS["reference"],
    "reference_bfloat16": replace(PRESETS["reference"], precision="bfloat16"),
    "default": PRESETS["default"],
}
"""Configs that are trained, by name."""

TUNED = ("reference_bfloat16", "default")
"""Names of the configs that use the machine's fast arithmetic and kernels."""

Run = Callable[[int], int]
"""Function that trains for a number of steps and returns the number of clips in them."""

_WARM_UP = {"cpu": 4, "cuda": 4 * PENALTY_EVERY}
"""Untimed steps, in which memory is allocated, kernels are chosen, and a GPU's steps captured."""


def clips_per_s(run: Run, num_steps: int, device: torch.device, *, tuned: bool) -> float:
    """Return the speed of a run after a warm-up."""
    use_fast_kernels(device, enabled=tuned)
    run(_WARM_UP[device.type])
    _synchronize(device)
    started = time.perf_counter()
    num_clips = run(num_steps)
    _synchronize(device)
    return num_clips / (time.perf_counter() - started)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class RecipeRun:
    """The recipe's loop, which decodes clips as it goes."""

    def __init__(self, clips: RecipeClips, num_classes: int, device: torch.device) -> None:
        self._batches = endless_batches(clips)
        self._training = RecipeTraining(num_classes, device)

    def __call__(self, num_steps: int) -> int:
        num_clips = 0
        for spectrograms, labels in itertools.islice(self._batches, num_steps):
            self._training.step(spectrograms, labels, torch.randn(len(labels), NOISE_DIM))
            num_clips += len(labels)
        return num_clips


class FreqquestRun:
    """freqquest's training as a worker runs it, without Ray."""

    def __init__(
        self, name: str, dataset_dir: str, device: torch.device, worker: Worker | None = None
    ) -> None:
        cgan_config, dataset = CONFIGS[name], locate(dataset_dir)
        manifest = load_manifest(dataset)
        scale = image_scale(manifest.views["cgan"], manifest.clip, cgan_config.floor)
        self.trainer = CganTrainer(cgan_config, len(manifest.classes), scale, device, seed=0)
        self._worker = worker or Worker()
        self._clips = ClipBatches(SplitReader(dataset, manifest, "train", "cgan"), scale, device)
        self._endless = self.batches()

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one epoch after the other."""
        size = self.trainer.cgan_config.batch_size
        return batches_of_all_epochs(self._clips, size, self._worker)

    def __call__(self, num_steps: int) -> int:
        batches = itertools.islice(self._endless, num_steps)
        train_epoch(
            self.trainer, batches, num_steps=num_steps, epoch=0, seed=0, worker=self._worker
        )
        return num_steps * self.trainer.cgan_config.batch_size

    def new_trainer(self) -> CganTrainer:
        """Return an untrained trainer of the same networks."""
        trainer = self.trainer
        return CganTrainer(
            trainer.cgan_config, trainer.num_classes, trainer.scale, trainer.device, seed=0
        )


class BareRun:
    """The least that a training step must compute, on one batch in memory.

    Forward and backward passes and both optimizers, in the same precision and memory layout.
    No loading, augmentation, averaged weights, gradient norms or metrics.
    """

    def __init__(self, full: FreqquestRun) -> None:
        self._real, self._labels = next(full.batches())
        self._trainer = full.new_trainer()
        noise_dim = self._trainer.cgan_config.noise_dim
        self._noise = torch.randn(len(self._labels), noise_dim, device=self._trainer.device)
        self._num_steps = 0

    def __call__(self, num_steps: int) -> int:
        for _ in range(num_steps):
            self._step()
        return num_steps * len(self._labels)

    def _step(self) -> None:
        trainer, labels = self._trainer, self._labels
        with trainer.autocast():
            fake = trainer.generator(self._noise, labels)
            real_logits = trainer.discriminator(self._real, labels)
            fake_logits = trainer.discriminator(fake.detach(), labels)
        loss = discriminator_loss(real_logits, fake_logits).mean()
        if trainer.cgan_config.r1 > 0 and self._num_steps % PENALTY_EVERY == 0:
            loss = loss + gradient_penalty(trainer.discriminator, self._real, labels).mean()
        _update(trainer.discriminator_optimizer, loss)
        trainer.discriminator.requires_grad_(False)
        with trainer.autocast():
            logits = trainer.discriminator(fake, labels)
        _update(trainer.generator_optimizer, generator_loss(logits).mean())
        trainer.discriminator.requires_grad_(True)
        self._num_steps += 1


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def time_workers(dataset_dir: str, num_steps: int, num_workers: int) -> dict[str, float]:
    """Train each tuned config in several one-thread processes; return clips/s as workers_<name>."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (num_workers, folder, dataset_dir, num_steps)
        spawn(_time_worker, args=arguments, nprocs=num_workers)  # type: ignore[no-untyped-call]
        speeds: dict[str, float] = json.loads((Path(folder) / "clips_per_s.json").read_text())
    return speeds


def _time_worker(
    rank: int, num_workers: int, folder: str, dataset_dir: str, num_steps: int
) -> None:
    torch.set_num_threads(1)
    address, device = f"file://{folder}/rendezvous", torch.device("cpu")
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=num_workers)
    speeds = {}
    for name in TUNED:
        worker = Worker(rank=rank, world_size=num_workers)
        run = FreqquestRun(name, dataset_dir, device, worker)
        distributed.barrier()
        speeds[f"workers_{name}"] = clips_per_s(run, num_steps, device, tuned=True)
    if rank == 0:
        (Path(folder) / "clips_per_s.json").write_text(json.dumps(speeds))
    distributed.destroy_process_group()
