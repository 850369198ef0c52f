"""The largest batch that fits the memory of a GPU.

torch and NumPy only, no Ray.
"""

import gc
import math

import torch

from freqquest.cgan.config import MAX_AUTO_BATCH_SIZE, CganConfig, TrainConfig
from freqquest.cgan.devices import use_fast_kernels
from freqquest.cgan.epoch import silent_inputs
from freqquest.cgan.images import ImageScale, image_scale
from freqquest.cgan.trainer import CganTrainer
from freqquest.dataset.manifest import Manifest

_MEMORY_SHARE = 0.25
"""Share of the free memory that a plain step may take: captured steps hold as much once more, and
clips, evaluations and NCCL take the rest."""


def largest_batch_size(config: TrainConfig, manifest: Manifest) -> int:
    """Return the preset's batch size, or the largest doubling that fits this GPU and the dataset.

    Args:
        config: Settings of a training whose workers have GPUs like this one.
        manifest: Its dataset.
    """
    device, cgan_config = torch.device("cuda"), config.cgan_config
    scale = image_scale(manifest.views["cgan"], manifest.clip, cgan_config.floor)
    free_bytes, _ = torch.cuda.mem_get_info(device)
    at_most = min(MAX_AUTO_BATCH_SIZE, manifest.num_rows["train"])
    size, (num_workers, _) = cgan_config.batch_size, config.workers
    while 2 * size <= at_most:
        share = cgan_config.with_batch_size(math.ceil(2 * size / num_workers))
        if _step_bytes(share, len(manifest.classes), scale, device) > _MEMORY_SHARE * free_bytes:
            break
        size *= 2
    return size


def _step_bytes(
    cgan_config: CganConfig, num_classes: int, scale: ImageScale, device: torch.device
) -> float:
    """Return the memory that networks, optimizers and a step take; infinity if it is too much."""
    gc.collect()  # earlier networks
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    use_fast_kernels(device, enabled=cgan_config.precision == "bfloat16")  # as training does
    try:
        take_step(cgan_config, num_classes, scale, device)
    except torch.OutOfMemoryError:
        return math.inf
    return torch.cuda.max_memory_reserved(device)


def take_step(
    cgan_config: CganConfig, num_classes: int, scale: ImageScale, device: torch.device
) -> None:
    """Build networks and take a step on silence, the kind with the penalty, which needs most."""
    trainer = CganTrainer(cgan_config, num_classes, scale, device, seed=0)
    trainer.use_graphs(None)
    trainer.update(silent_inputs(trainer), has_penalty=cgan_config.r1 > 0)
