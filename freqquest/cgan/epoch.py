"""One pass over the training split. Knows nothing of Ray.

Shapes: N clips, B clips of this worker in a step, Z noise values, M mel bands, T frames.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.step import CganTrainer
from freqquest.dataset.read import SplitArrays, own_part


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process among all that train together."""

    rank: int = 0
    world_size: int = 1


def train_epoch(
    trainer: CganTrainer,
    batches: Iterable[SplitArrays],
    *,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None],
) -> dict[str, float]:
    """Take one step for each batch.

    Args:
        trainer: Networks and optimisers.
        batches: This worker's part of each batch.
        epoch: Counted from 0.
        seed: Of the order and of the noise.
        worker: Which part of each batch is this process's.
        on_step: Called after each step with the number of steps done.

    Returns:
        This worker's mean `loss_D` and `loss_G`.
    """
    trainer.generator.train()
    # Drawn for the whole batch, as the order of the clips is, so that noise does not depend on the number of workers.
    noise_source = np.random.default_rng([seed, epoch, 1])
    config = trainer.config
    mine = own_part(config.batch_size, worker.rank, worker.world_size)
    losses: list[dict[str, Tensor]] = []
    for clips in batches:
        noise = noise_source.standard_normal((config.batch_size, config.noise_dim), dtype=np.float32)
        step_inputs = (
            clips.spectrograms.astype(np.float32)[:, None],
            clips.class_indices,
            noise[mine.start : mine.stop],
        )
        real, labels, noise_part = (
            torch.from_numpy(values).to(trainer.device, non_blocking=True) for values in step_inputs
        )
        losses.append(trainer.step(real, labels, noise_part))
        on_step(len(losses))
    return {name: torch.stack([step[name] for step in losses]).mean().item() for name in losses[0]}
