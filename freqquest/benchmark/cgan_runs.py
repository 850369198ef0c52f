"""What `jobs/benchmark.py cgan` times: the recipe's loop, our training, and the bare arithmetic of our networks.

Shapes: B clips, Z noise values.
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

from freqquest.benchmark.naive_cgan import NOISE_DIM, RecipeClips, RecipeTraining, endless_batches
from freqquest.cgan.batches import Batch, ClipBatches
from freqquest.cgan.config import PRESETS
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.trainer import PENALTY_EVERY, CganTrainer, train_epoch
from freqquest.cgan.training_loop import use_fast_kernels
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import locate

CONFIGS = {
    "reference": PRESETS["reference"],
    "reference_bfloat16": replace(PRESETS["reference"], precision="bfloat16"),
    "default": PRESETS["default"],
}
"""What is trained, by name."""

TUNED = ("reference_bfloat16", "default")
"""Of these, those that make use of the machine."""

Run = Callable[[int], int]
"""Takes a number of steps; returns how many clips that were."""

_WARM_UP = 4
"""Steps that are not timed: memory is allocated, kernels are chosen."""


def clips_per_s(run: Run, num_steps: int, device: torch.device, *, tuned: bool) -> float:
    """Time so many steps, after a warm-up."""
    use_fast_kernels(device, enabled=tuned)
    run(_WARM_UP)
    _wait_for(device)
    started = time.perf_counter()
    num_clips = run(num_steps)
    _wait_for(device)
    return num_clips / (time.perf_counter() - started)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class NaiveRun:
    """The recipe's loop, decoding as it goes."""

    def __init__(self, clips: RecipeClips, num_classes: int, device: torch.device) -> None:
        self._batches = endless_batches(clips)
        self._training = RecipeTraining(num_classes, device)

    def __call__(self, num_steps: int) -> int:
        num_clips = 0
        for spectrograms, labels in itertools.islice(self._batches, num_steps):
            self._training.step(spectrograms, labels, torch.randn(len(labels), NOISE_DIM))
            num_clips += len(labels)
        return num_clips


class OurRun:
    """Our training, as a worker runs it, but for Ray."""

    def __init__(
        self, name: str, dataset_dir: str, device: torch.device, worker: Worker | None = None
    ) -> None:
        config, dataset = CONFIGS[name], locate(dataset_dir)
        manifest = load_manifest(dataset)
        scale = image_scale(manifest.views["cgan"], manifest.clip, config.floor)
        self.trainer = CganTrainer(config, len(manifest.classes), scale, device, seed=0)
        self._worker = worker or Worker()
        self._clips = ClipBatches(SplitReader(dataset, manifest, "train", "cgan"), scale, device)
        self._endless = self.batches()

    def batches(self) -> Iterator[Batch]:
        """One epoch after the other."""
        size = self.trainer.cgan_config.batch_size
        for epoch in itertools.count():
            yield from self._clips.epoch(size, seed=0, epoch=epoch, worker=self._worker)

    def __call__(self, num_steps: int) -> int:
        batches = itertools.islice(self._endless, num_steps)
        train_epoch(
            self.trainer, batches, epoch=0, seed=0, worker=self._worker, on_step=lambda _: None
        )
        return num_steps * self.trainer.cgan_config.batch_size


class BareRun:
    """What a training step must compute at least, on one batch in memory, in the same precision and layout.

    Forward and backward passes and both optimizers; no loader, augmentation, averaged weights, norms or figures.
    """

    def __init__(self, ours: OurRun) -> None:
        self._real, self._labels = next(ours.batches())
        self._model = _fresh(ours)
        noise_dim = self._model.cgan_config.noise_dim
        self._noise = torch.randn(len(self._labels), noise_dim, device=self._model.device)
        self._num_steps = 0

    def __call__(self, num_steps: int) -> int:
        for _ in range(num_steps):
            self._step()
        return num_steps * len(self._labels)

    def _step(self) -> None:
        model, labels = self._model, self._labels
        with model.autocast():
            fake = model.generator(self._noise, labels)
            real_logits = model.discriminator(self._real, labels)
            fake_logits = model.discriminator(fake.detach(), labels)
        loss = discriminator_loss(real_logits, fake_logits).mean()
        if model.cgan_config.r1 > 0 and self._num_steps % PENALTY_EVERY == 0:
            loss = loss + gradient_penalty(model.discriminator, self._real, labels).mean()
        _update(model.discriminator_optimizer, loss)
        model.discriminator.requires_grad_(False)
        with model.autocast():
            again = model.discriminator(fake, labels)
        _update(model.generator_optimizer, generator_loss(again).mean())
        model.discriminator.requires_grad_(True)
        self._num_steps += 1


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def time_workers(dataset_dir: str, num_steps: int, num_workers: int) -> dict[str, float]:
    """Clips per second of several processes with one thread each that train one model, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (num_workers, folder, dataset_dir, num_steps)
        spawn(_time_worker, args=arguments, nprocs=num_workers)
        found: dict[str, float] = json.loads((Path(folder) / "clips_per_s.json").read_text())
    return found


def _time_worker(
    rank: int, num_workers: int, folder: str, dataset_dir: str, num_steps: int
) -> None:
    torch.set_num_threads(1)
    address, device = f"file://{folder}/rendezvous", torch.device("cpu")
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=num_workers)
    found = {}
    for name in TUNED:
        ours = OurRun(name, dataset_dir, device, Worker(rank=rank, world_size=num_workers))
        distributed.barrier()
        found[name] = clips_per_s(ours, num_steps, device, tuned=True)
    if rank == 0:
        (Path(folder) / "clips_per_s.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def compare_losses(ours: dict[str, OurRun], num_steps: int) -> dict[str, dict[str, list[float]]]:
    """What the recipe's loop and ours say of each step from the same weights on, with the same clips and noise.

    Args:
        ours: Of the recipe's networks, by name.
        num_steps: Of each.

    Returns:
        loss_D and loss_G of each step, by name, `naive` being the recipe's loop.
    """
    found = {name: _our_losses(run, num_steps) for name, run in ours.items()}
    return {"naive": _naive_losses(next(iter(ours.values())), num_steps)} | found


def _our_losses(run: OurRun, num_steps: int) -> dict[str, list[float]]:
    model = _fresh(run)
    steps = []
    for real, labels, noise in _shared_steps(run, num_steps):
        unused = torch.zeros(len(labels), 6, device=model.device)  # the recipe changes no images
        steps.append(model.step(real, labels, noise, unused, unused))
    return {name: [float(step[name]) for step in steps] for name in ("loss_D", "loss_G")}


def _naive_losses(run: OurRun, num_steps: int) -> dict[str, list[float]]:
    same = _fresh(run)
    naive = RecipeTraining(same.num_classes, same.device)
    naive.generator.load_state_dict(same.generator.state_dict())
    naive.discriminator.load_state_dict(same.discriminator.state_dict())
    steps = [naive.step(*given) for given in _shared_steps(run, num_steps)]
    return {
        name: list(values)
        for name, values in zip(("loss_D", "loss_G"), zip(*steps, strict=True), strict=True)
    }


def _fresh(run: OurRun) -> CganTrainer:
    """A training of the same networks that has not begun."""
    model = run.trainer
    return CganTrainer(model.cgan_config, model.num_classes, model.scale, model.device, seed=0)


def _shared_steps(run: OurRun, num_steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Clips, labels and noise, always the same ones."""
    source = torch.Generator().manual_seed(0)
    for real, labels in itertools.islice(run.batches(), num_steps):
        yield real, labels, torch.randn(len(labels), NOISE_DIM, generator=source).to(real.device)
