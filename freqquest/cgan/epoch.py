"""One pass over the training split. Knows nothing of Ray.

Shapes: N clips, B clips of this worker in a step, Z noise values, M mel bands, T frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.config import CganConfig
from freqquest.cgan.job import num_steps
from freqquest.cgan.step import CganTrainer
from freqquest.dataset.read import SplitArrays, epoch_order


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process among all that train together."""

    rank: int = 0
    world_size: int = 1


def train_epoch(
    trainer: CganTrainer,
    clips: SplitArrays,
    *,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None],
) -> dict[str, float]:
    """Train once on all clips, but for those of a last, smaller batch, in an order given by (seed, epoch) alone.

    Clips are repeated where they are fewer than a batch.

    Args:
        trainer: Networks and optimisers.
        clips: The training split.
        epoch: Counted from 0.
        seed: Of the order and of the noise.
        worker: Which part of each batch is this process's.
        on_step: Called after each step with the number of steps done.

    Returns:
        This worker's mean `loss_D` and `loss_G`.
    """
    trainer.generator.train()
    losses: list[dict[str, Tensor]] = []
    for real, labels, noise in _batches(clips, trainer.config, epoch, seed, worker):
        losses.append(
            trainer.step(
                real.to(trainer.device, non_blocking=True),
                labels.to(trainer.device, non_blocking=True),
                noise.to(trainer.device, non_blocking=True),
            )
        )
        on_step(len(losses))
    return {name: torch.stack([step[name] for step in losses]).mean().item() for name in losses[0]}


def _batches(
    clips: SplitArrays, config: CganConfig, epoch: int, seed: int, worker: Worker
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Spectrograms `[B, 1, M, T]`, class indices `[B]` and noise `[B, Z]` of each step."""
    num_clips, batch_size = len(clips.class_indices), config.batch_size
    steps = num_steps(num_clips, batch_size)
    # The order and the noise are those of the whole batch, so that they do not depend on the number of workers.
    order = np.resize(epoch_order(num_clips, seed, epoch), (steps, batch_size))
    noise_source = np.random.default_rng([seed, epoch, 1])
    for chosen in order:
        noise = noise_source.standard_normal((batch_size, config.noise_dim), dtype=np.float32)
        mine = chosen[worker.rank :: worker.world_size]
        yield (
            torch.from_numpy(clips.spectrograms[mine].astype(np.float32)[:, None]),
            torch.from_numpy(clips.class_indices[mine]),
            torch.from_numpy(noise[worker.rank :: worker.world_size]),
        )
