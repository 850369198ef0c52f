"""Train the conditional GAN with Ray Train: workers, checkpoints, resumption.

The networks and the step know nothing of this module.
"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed
from ray.train.torch import TorchTrainer, get_device

from freqquest import cluster
from freqquest.cgan.epoch import Worker, train_epoch
from freqquest.cgan.generator_file import GeneratorCard, save_generator
from freqquest.cgan.job import TrainJob
from freqquest.cgan.logs import CganLogs
from freqquest.cgan.step import CganTrainer
from freqquest.dataset.read import SplitReader, num_steps
from freqquest.errors import UserError
from freqquest.runs.progress import Poster

GENERATOR_NAME = "generator.safetensors"
_CHECKPOINTS_DIR = "checkpoints"
_STATE_NAME = "state.pt"
_MAX_WORKER_FAILURES = 2
_CHECKPOINTS_KEPT = 2


def run_workers(job: TrainJob) -> dict[str, Any]:
    """Start the workers and wait for them.

    Returns:
        The last epoch's figures, or what stopped the training under `error`.
    """
    cluster.quiet("train")
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.config.num_workers, use_gpu=job.config.use_gpu, resources_per_worker=job.resources
        ),
        run_config=ray.train.RunConfig(
            name=_CHECKPOINTS_DIR,
            storage_path=str(job.run),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
            failure_config=ray.train.FailureConfig(max_failures=_MAX_WORKER_FAILURES),
        ),
    )
    figures: dict[str, Any] = trainer.fit().return_value
    return figures


def _train_worker(settings: dict[str, TrainJob]) -> dict[str, Any]:
    """What each worker runs. What would happen again at every attempt is returned; what is raised is tried again."""
    try:
        return _train(settings["job"])
    except (UserError, FloatingPointError) as error:
        return {"error": str(error)}


def _train(job: TrainJob) -> dict[str, Any]:
    """The last epoch's figures, also where a checkpoint had them all."""
    context = ray.train.get_context()
    worker = Worker(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(int(job.resources["CPU"]))
    reader = SplitReader(job.dataset, job.manifest, "train", "cgan")
    trainer = CganTrainer(
        job.networks,
        len(job.manifest.classes),
        get_device(),
        seed=job.config.seed,
        distributed=worker.world_size > 1,
    )
    history = _restore(trainer)
    logs = CganLogs(job.run, job.manifest, job.networks, job.config.seed) if worker.rank == 0 else None
    steps_per_epoch = num_steps(len(reader), job.networks.batch_size)
    for epoch in range(len(history), job.config.epochs):
        post = Poster(job.progress if worker.rank == 0 else None, epoch * steps_per_epoch, _note(history, job))
        started = time.monotonic()
        batches = reader.batches(
            job.networks.batch_size, seed=job.config.seed, epoch=epoch, rank=worker.rank, world_size=worker.world_size
        )
        losses = train_epoch(trainer, batches, epoch=epoch, seed=job.config.seed, worker=worker, on_step=post)
        seconds = time.monotonic() - started
        history.append(
            {"epoch": epoch + 1}
            | _average_over_workers(losses, worker, trainer.device)
            | {"clips_per_s": steps_per_epoch * job.networks.batch_size / seconds, "seconds": seconds}
        )
        _require_finite(history[-1])
        if logs is not None:
            logs.log_epoch(trainer, history)
        _report(trainer, history, worker)
    if logs is not None:
        logs.close(history)
        save_generator(trainer.averaged_generator, _card(job), job.run / GENERATOR_NAME)
    return history[-1]


def _restore(trainer: CganTrainer) -> list[dict[str, Any]]:
    """Continue from the run's last checkpoint, if there is one; the epochs it has behind it."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return []
    with checkpoint.as_directory() as folder:
        state = torch.load(Path(folder) / _STATE_NAME, map_location=trainer.device, weights_only=True)
    trainer.load_state_dict(state["trainer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _report(trainer: CganTrainer, history: list[dict[str, Any]], worker: Worker) -> None:
    """End the epoch on every worker; rank 0 brings the checkpoint."""
    if worker.rank != 0:
        ray.train.report(history[-1])
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"trainer": trainer.state_dict(), "history": history}, Path(folder) / _STATE_NAME)
        ray.train.report(history[-1], checkpoint=ray.train.Checkpoint.from_directory(folder))


def _average_over_workers(losses: dict[str, float], worker: Worker, device: torch.device) -> dict[str, float]:
    if worker.world_size == 1:
        return losses
    values = torch.tensor(list(losses.values()), device=device)
    torch.distributed.all_reduce(values)
    return dict(zip(losses, (values / worker.world_size).tolist(), strict=True))


def _require_finite(figures: dict[str, Any]) -> None:
    for name in ("loss_D", "loss_G"):
        if not math.isfinite(figures[name]):
            raise FloatingPointError(f"{name} is {figures[name]} in epoch {figures['epoch']}")


def _card(job: TrainJob) -> GeneratorCard:
    return GeneratorCard(
        classes=job.manifest.classes,
        sample_rate_hz=job.manifest.clip.sample_rate_hz,
        view=job.manifest.views["cgan"],
        noise_dim=job.networks.noise_dim,
        preset=job.config.preset,
        epochs=job.config.epochs,
        dataset_sha256=job.manifest.content_sha256,
    )


def _note(history: list[dict[str, Any]], job: TrainJob) -> str:
    note = f"epoch {len(history) + 1}/{job.config.epochs}"
    if history:
        note += f", loss_D {history[-1]['loss_D']:.3f}, loss_G {history[-1]['loss_G']:.3f}"
    return note
