"""A whole training, as one of its processes sees it. Knows nothing of Ray: a script without it can call the same.

What it needs to go on lies in the run folder, so it does not matter whether a worker, the driver or the machine
stopped.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.cgan.recorder import Recorder, restore
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer, train_epoch
from freqquest.dataset.order import num_steps
from freqquest.dataset.read import SplitReader


def train_generator(
    job: TrainJob, worker: Worker, device: torch.device, on_clips: Callable[[int, str], None]
) -> dict[str, Any]:
    """Train from the last whole checkpoint, or from the start, to the last epoch.

    Args:
        job: What to train.
        worker: Which of the processes this is; torch.distributed knows the others.
        device: Where to train.
        on_clips: Called with the number of clips done and a note for people: first with those of an earlier attempt,
            then at each step, and when something else goes on.

    Returns:
        The last epoch's figures.

    Raises:
        UserError: The dataset is damaged, or the checkpoints are of another training.
        FloatingPointError: Gradients did not stay finite.
    """
    config, cgan_config = job.config, job.cgan_config
    use_fast_kernels(device, enabled=cgan_config.precision == "bfloat16")
    scale = image_scale(job.manifest.views["cgan"], job.manifest.clip, cgan_config.floor)
    trainer = CganTrainer(cgan_config, len(job.manifest.classes), scale, device, seed=config.seed)
    history = restore(trainer, job, worker)
    record = Recorder(job, trainer, history) if worker.rank == 0 else None
    reader = SplitReader(job.dataset, job.manifest, "train", "cgan")
    batches = ClipBatches(reader, scale, device)
    clips_per_epoch = num_steps(len(reader), cgan_config.batch_size) * cgan_config.batch_size
    on_clips(len(history) * clips_per_epoch, "")
    for epoch in range(len(history), config.effective_epochs):

        def tell(
            step: int,
            done: int = epoch * clips_per_epoch,
            note: str = _note(history, config.effective_epochs),
        ) -> None:
            on_clips(done + step * cgan_config.batch_size, note)

        started = time.monotonic()
        figures = train_epoch(
            trainer,
            batches.epoch(cgan_config.batch_size, seed=config.seed, epoch=epoch, worker=worker),
            epoch=epoch,
            seed=config.seed,
            worker=worker,
            on_step=tell,
        )
        seconds = time.monotonic() - started
        history.append(
            {"epoch": epoch + 1}
            | figures
            | {"clips_per_s": clips_per_epoch / seconds, "seconds": seconds}
        )
        if record is not None:
            record.end_epoch(partial(on_clips, (epoch + 1) * clips_per_epoch))
    if record is None:
        return history[-1]
    return record.finish(partial(on_clips, config.effective_epochs * clips_per_epoch))


def use_fast_kernels(device: torch.device, *, enabled: bool) -> None:
    """On a GPU, let this process round factors of float32 products to TensorFloat32, and try convolutions out."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if enabled else "highest")
        torch.backends.cudnn.benchmark = enabled


def _note(history: list[dict[str, Any]], num_epochs: int) -> str:
    note = f"epoch {len(history) + 1}/{num_epochs}"
    if history:
        note += f", loss_D {history[-1]['loss_D']:.3f}, loss_G {history[-1]['loss_G']:.3f}"
    judged = [epoch["judge/accuracy"] for epoch in history if "judge/accuracy" in epoch]
    return f"{note}, judge {judged[-1]:.2f}" if judged else note
