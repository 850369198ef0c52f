"""One pass over the training split. Knows nothing of Ray.

Shapes: B clips of this worker in a step, Z noise values.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from freqquest.cgan.batches import Batch
from freqquest.cgan.distributed import Worker, sum_over_workers
from freqquest.cgan.trainer import CganTrainer
from freqquest.dataset.read import rank_slice

_MOST_SKIPPED, _MOST_SKIPPED_SHARE = 3, 0.1
"""Steps of an epoch without finite gradients: more than both is no accident."""


def train_epoch(
    trainer: CganTrainer,
    batches: Iterable[Batch],
    *,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None],
) -> dict[str, float]:
    """Take one step for each batch.

    Args:
        trainer: Networks and optimizers.
        batches: This worker's part of each batch.
        epoch: Counted from 0.
        seed: Of the order, of the noise, and of the changes.
        worker: Which part of each batch is this process's.
        on_step: Called after each step with the number of steps done.

    Returns:
        Means over the steps, of all workers' clips (see `CganTrainer.step`), and `num_skipped`, how many steps changed
        nothing.

    Raises:
        FloatingPointError: Too many steps were skipped.
    """
    trainer.generator.train()
    config, scale = trainer.config, trainer.scale
    # Drawn for the whole batch, as the order of the clips is, so that neither depends on the number of workers.
    source = np.random.default_rng([seed, epoch, 1])
    part = rank_slice(config.batch_size, worker.rank, worker.world_size)
    mine = slice(part.start, part.stop)
    totals: dict[str, torch.Tensor] = {}
    num_steps = 0
    for images, labels in batches:
        noise = source.standard_normal((config.batch_size, config.noise_dim), dtype=np.float32)
        drawn = [trainer.augmentation.draw(source, config.batch_size, scale.num_mels) for _ in ("real", "generated")]
        sent = [torch.from_numpy(values[mine]).to(trainer.device, non_blocking=True) for values in (noise, *drawn)]
        figures = trainer.step(images, labels, *sent)
        totals = {name: totals.get(name, 0) + value for name, value in figures.items()}
        num_steps += 1
        on_step(num_steps)
    sums = dict(zip(totals, sum_over_workers(torch.stack(list(totals.values()))).tolist(), strict=True))
    num_skipped = round(sums.pop("skipped"))
    if num_skipped > max(_MOST_SKIPPED, _MOST_SKIPPED_SHARE * num_steps) or num_skipped == num_steps:
        raise FloatingPointError(
            f"gradients were not finite in {num_skipped} of {num_steps} steps of epoch {epoch + 1}"
        )
    return {name: value / (num_steps - num_skipped) for name, value in sums.items()} | {"num_skipped": num_skipped}
