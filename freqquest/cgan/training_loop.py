"""A whole training, in one of its processes.

No Ray: a script without it can call the same function. All state is in the run folder, so a
training survives the loss of a worker, the driver or the machine.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

import torch

from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.devices import use_fast_kernels
from freqquest.cgan.distributed import Worker, first_problem
from freqquest.cgan.epoch import EpochMetrics, train_epoch
from freqquest.cgan.images import image_scale
from freqquest.cgan.recorder import Recorder, restore
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer
from freqquest.dataset.order import num_steps
from freqquest.dataset.read import SplitReader
from freqquest.errors import UserError

OnClips = Callable[[int, str], None]
"""Called with the number of clips done and a note on what is going on."""


class StartError(UserError):
    """A training cannot start. Raised in all of its processes alike, before the first step."""


def run_training(
    job: TrainJob, worker: Worker, device: torch.device, on_clips: OnClips
) -> Mapping[str, object]:
    """Train from the last intact checkpoint, or from the start, to the last epoch.

    Args:
        job: The training.
        worker: This process among those that train; torch.distributed knows the others.
        device: Device to train on.
        on_clips: Called first with the clips of an earlier attempt, then at each step.

    Returns:
        The metrics of the last epoch and, in the process of rank 0, of the saved generator.

    Raises:
        StartError: The dataset is corrupt, or the checkpoints are of another training.
        UserError: The same of a shard that this process reads later, in this process alone.
        FloatingPointError: Gradients did not stay finite.
    """
    prepared = _prepare_together(job, worker, device)
    trainer, _, recorder, _ = prepared
    try:
        with recorder or nullcontext():  # rank 0 ends with all results written
            return _train(job, worker, prepared, on_clips)
    finally:
        trainer.use_graphs(None)  # NCCL cannot shut down while graphs hold its messages


def _train(
    job: TrainJob, worker: Worker, prepared: "_Prepared", on_clips: OnClips
) -> Mapping[str, object]:
    config, batch_size = job.config, job.cgan_config.batch_size
    trainer, history, recorder, clips = prepared
    steps_per_epoch = num_steps(job.manifest.num_rows["train"], batch_size)
    clips_per_epoch = steps_per_epoch * batch_size
    on_clips(len(history) * clips_per_epoch, "")
    for epoch in range(len(history), config.effective_epochs):
        started = time.monotonic()
        metrics = train_epoch(
            trainer,
            clips.epoch(batch_size, seed=config.seed, epoch=epoch, worker=worker),
            num_steps=steps_per_epoch,
            epoch=epoch,
            seed=config.seed,
            worker=worker,
            on_step=_step_reporter(
                on_clips, epoch * clips_per_epoch, batch_size, _note(history, job, trainer)
            ),
        )
        seconds = time.monotonic() - started
        speed = {"clips_per_s": clips_per_epoch / seconds, "seconds": seconds}
        history.append({"epoch": epoch + 1} | metrics | speed)
        if recorder is not None:
            recorder.end_epoch(partial(on_clips, (epoch + 1) * clips_per_epoch))
    if recorder is None:
        return history[-1]
    return recorder.finish(partial(on_clips, config.effective_epochs * clips_per_epoch))


_Prepared = tuple[CganTrainer, list[EpochMetrics], Recorder | None, ClipBatches]


def _prepare_together(job: TrainJob, worker: Worker, device: torch.device) -> _Prepared:
    """Prepare the training in this process; raise a problem of any process in all of them.

    A process that failed alone would leave the others waiting for it in the first step.
    """
    prepared, problem = None, None
    try:
        prepared = _prepare(job, worker, device)
    except UserError as error:
        problem = str(error)
    if (problem := first_problem(problem)) is not None:
        raise StartError(problem)
    assert prepared is not None
    return prepared


def _prepare(job: TrainJob, worker: Worker, device: torch.device) -> _Prepared:
    config, cgan_config = job.config, job.cgan_config
    use_fast_kernels(device, enabled=cgan_config.precision == "bfloat16")
    scale = image_scale(job.manifest.views["cgan"], job.manifest.clip, cgan_config.floor)
    trainer = CganTrainer(cgan_config, len(job.manifest.classes), scale, device, seed=config.seed)
    history = restore(trainer, job, worker)
    source = SplitReader(job.dataset, job.manifest, "train", "cgan")
    several = job.manifest.has_several_labels
    clips = ClipBatches(source, scale, device, has_several_labels=several)
    recorder = Recorder(job, trainer, history) if worker.rank == 0 else None
    return trainer, history, recorder, clips


def _step_reporter(
    on_clips: OnClips, clips_before: int, batch_size: int, note: str
) -> Callable[[int], None]:
    """Return a function that reports the number of steps done as clips."""
    return lambda num_steps: on_clips(clips_before + num_steps * batch_size, note)


def _note(history: list[EpochMetrics], job: TrainJob, trainer: CganTrainer) -> str:
    note = f"epoch {len(history) + 1}/{job.config.effective_epochs}"
    if history:
        note += f", loss_D {history[-1]['loss_D']:.3f}, loss_G {history[-1]['loss_G']:.3f}"
    judged = [epoch["judge/accuracy"] for epoch in history if "judge/accuracy" in epoch]
    if judged:
        note += f", judge {judged[-1]:.2f}"
    if trainer.device.type == "cuda" and trainer.obstacle is not None:
        note += f", without CUDA graphs ({trainer.obstacle})"
    if job.tracked is not None and job.tracked.problem is not None:
        note += f", {job.tracked.problem}"
    return note
