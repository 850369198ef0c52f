"""One epoch of updates.

torch and NumPy only, no Ray: a test, a notebook and a cluster run the same steps.
Shapes: B clips of this worker in a step, Z noise values.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.batches import Batch, prefetch, send
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import SILENCE
from freqquest.cgan.trainer import CganTrainer, StepInputs
from freqquest.dataset.order import rank_slice

_MAX_DRAWN_AT_ONCE = 16
"""Most steps whose noise and augmentation are sent to the device together."""

_MAX_SKIPPED, _MAX_SKIPPED_SHARE = 3, 0.1
"""Number and share of an epoch's steps that may be skipped; more than both ends the training."""

EpochMetrics = dict[str, float]
"""Metrics of one epoch, by name; see `train_epoch`."""


def train_epoch(
    trainer: CganTrainer,
    batches: Iterable[Batch],
    *,
    num_steps: int,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None] = lambda _: None,
) -> EpochMetrics:
    """Take one step per batch, and wait for the device only after the last.

    Args:
        trainer: Networks and optimizers.
        batches: This worker's share of each batch.
        num_steps: Number of batches.
        epoch: Number of the epoch, from 0.
        seed: Seed of noise and augmentation.
        worker: This process among those that share each batch.
        on_step: Called with the number of steps done, as each is begun.

    Returns:
        Means of the trainer's METRICS over the steps and all workers; `num_skipped`, the number of
        skipped steps; and shares of this process's time: `loader_share` spent on batches and noise,
        `launch_share` on the steps themselves (on a GPU: on starting them), and `device_share` on
        waiting for the device in the end.

    Raises:
        FloatingPointError: Too many steps were skipped.
    """
    trainer.generator.train()
    started, loader_s = time.perf_counter(), 0.0
    draws, remaining = _draw(trainer, num_steps, epoch, seed, worker), iter(batches)
    for step in range(1, num_steps + 1):
        asked = time.perf_counter()
        drawn, (images, labels) = next(draws), next(remaining)
        loader_s += time.perf_counter() - asked
        trainer.step(StepInputs(images, labels, *drawn))
        on_step(step)
    launched = time.perf_counter()
    sums = trainer.pop_metrics()
    ended = time.perf_counter()
    return _means(sums, num_steps, epoch) | {
        "loader_share": loader_s / (ended - started),
        "launch_share": (launched - started - loader_s) / (ended - started),
        "device_share": (ended - launched) / (ended - started),
    }


def silent_inputs(trainer: CganTrainer) -> StepInputs:
    """Return inputs of a step for measurements of its cost, which their values do not change."""
    size, scale, device = trainer.cgan_config.batch_size, trainer.scale, trainer.device
    changes = torch.zeros(size, 6, device=device)
    return StepInputs(
        real=torch.full((size, 1, scale.image_mels, scale.image_frames), SILENCE, device=device),
        labels=torch.zeros(size, dtype=torch.int64, device=device),
        noise=torch.zeros(size, trainer.cgan_config.noise_dim, device=device),
        real_changes=changes,
        fake_changes=changes,
    )


def _draw(
    trainer: CganTrainer, num_steps: int, epoch: int, seed: int, worker: Worker
) -> Iterator[tuple[Tensor, ...]]:
    """Yield each step's noise `[B, Z]` and two augmentations `[B, 6]`, on the device.

    A thread draws the next ones meanwhile.
    """
    for drawn in prefetch(_draw_chunks(trainer, num_steps, epoch, seed, worker)):
        yield from zip(*(send(values, trainer.device) for values in drawn), strict=True)


def _draw_chunks(
    trainer: CganTrainer, num_steps: int, epoch: int, seed: int, worker: Worker
) -> Iterator[list[np.ndarray]]:
    """Yield the same for several steps at once.

    Drawn for the whole batch, so that noise does not depend on the number of workers.
    """
    batch_size, noise_dim = trainer.cgan_config.batch_size, trainer.cgan_config.noise_dim
    positions = rank_slice(batch_size, worker.rank, worker.world_size)
    share = slice(positions.start, positions.stop)
    rng = np.random.default_rng([seed, epoch, 1])
    num_drawn, count = 0, 1  # the first step waits for its own values only
    while num_drawn < num_steps:
        count = min(count, num_steps - num_drawn)
        steps = [
            (
                rng.standard_normal((batch_size, noise_dim), dtype=np.float32)[share],
                *(
                    trainer.augmentation.draw(rng, batch_size, trainer.scale.num_mels)[share]
                    for _ in range(2)
                ),
            )
            for _ in range(count)
        ]
        yield [np.stack(values) for values in zip(*steps, strict=True)]
        num_drawn, count = num_drawn + count, min(2 * count, _MAX_DRAWN_AT_ONCE)


def _means(sums: EpochMetrics, num_steps: int, epoch: int) -> EpochMetrics:
    """Return means over the steps taken of the sums over all steps and workers."""
    num_skipped = round(sums.pop("skipped"))
    max_skipped = max(_MAX_SKIPPED, _MAX_SKIPPED_SHARE * num_steps)
    if num_skipped > max_skipped or num_skipped == num_steps:
        raise FloatingPointError(
            f"gradients were not finite in {num_skipped} of {num_steps} steps of epoch {epoch + 1}"
        )
    num_taken = num_steps - num_skipped
    return {name: value / num_taken for name, value in sums.items()} | {"num_skipped": num_skipped}
