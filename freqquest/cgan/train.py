"""Train the conditional GAN with Ray Train: workers, checkpoints, resumption.

The networks and the step know nothing of this module.
"""

import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from freqquest import cluster
from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.cgan.epoch import Worker, num_steps, train_epoch
from freqquest.cgan.generate import GeneratorCard, save_generator
from freqquest.cgan.logs import CganLogs
from freqquest.cgan.step import CganTrainer
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.read import read_split
from freqquest.errors import UserError
from freqquest.runs.folder import RunFolder
from freqquest.runs.progress import Progress
from freqquest.runs.storage import Location, locate

GENERATOR_NAME = "generator.safetensors"
_CHECKPOINTS_DIR = "checkpoints"
_STATE_NAME = "state.pt"
_MAX_WORKER_FAILURES = 2
_CHECKPOINTS_KEPT = 2


def train(config: TrainConfig) -> dict[str, Any]:
    """Train a generator; an interrupted training continues, a finished one is left as it is.

    Needs an initialised Ray. Leaves generator.safetensors, checkpoints, sounds, pictures and TensorBoard logs.

    Returns:
        The last epoch's figures.

    Raises:
        UserError: The dataset, run folder or cluster is not usable, or training gave losses that are not finite.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    resources = cluster.require(
        num_workers=config.num_workers, cpus_per_worker=config.cpus_per_worker, use_gpu=config.use_gpu
    )
    run = RunFolder(config.run_dir, "cgan", _settings(config, manifest))
    finished = run.finished()
    if finished is not None:
        return finished
    cluster.quiet("train")
    steps = config.epochs * num_steps(manifest.num_rows["train"], PRESETS[config.preset].batch_size)
    with _shown_progress(steps) as progress:
        job = _Job(
            dataset=dataset,
            manifest=manifest,
            run=run.location,
            config=config,
            progress=progress,
            num_threads=int(resources["CPU"]),
        )
        result = _run_workers(job, resources)
    figures: dict[str, Any] = result.return_value
    return run.finish(figures)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """What every worker is told."""

    dataset: Location
    manifest: Manifest
    run: Location
    config: TrainConfig
    progress: Queue
    num_threads: int

    @property
    def networks(self) -> CganConfig:
        return PRESETS[self.config.preset]


def _settings(config: TrainConfig, manifest: Manifest) -> dict[str, Any]:
    """What shapes the generator; workers and devices do not."""
    return {
        "dataset_sha256": manifest.content_sha256,
        "preset": config.preset,
        "epochs": config.epochs,
        "seed": config.seed,
    }


def _run_workers(job: _Job, resources: dict[str, float]) -> ray.train.Result:
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.config.num_workers, use_gpu=job.config.use_gpu, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=_CHECKPOINTS_DIR,
            storage_path=str(job.run),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
            failure_config=ray.train.FailureConfig(max_failures=_MAX_WORKER_FAILURES),
        ),
    )
    try:
        return trainer.fit()
    except ray.train.WorkerGroupError as error:
        causes = list(error.worker_failures.values())
        if causes and isinstance(causes[0], FloatingPointError):
            raise UserError(f"training stopped: {causes[0]}; the last checkpoint is kept in {job.run}") from error
        raise


def _train_worker(settings: dict[str, Any]) -> dict[str, Any]:
    """What each worker runs; the last epoch's figures, also where a checkpoint had them all."""
    job: _Job = settings["job"]
    context = ray.train.get_context()
    worker = Worker(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(job.num_threads)
    clips = read_split(job.dataset, job.manifest, "train", "cgan")
    trainer = CganTrainer(
        job.networks,
        len(job.manifest.classes),
        get_device(),
        seed=job.config.seed,
        distributed=worker.world_size > 1,
    )
    history = _restore(trainer)
    logs = CganLogs(job.run, job.manifest, job.networks, job.config.seed) if worker.rank == 0 else None
    steps_per_epoch = num_steps(len(clips.class_indices), job.networks.batch_size)
    for epoch in range(len(history), job.config.epochs):
        post = _Poster(job.progress if worker.rank == 0 else None, epoch * steps_per_epoch, _note(history, job))
        started = time.monotonic()
        losses = train_epoch(trainer, clips, epoch=epoch, seed=job.config.seed, worker=worker, on_step=post)
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


def _card(job: _Job) -> GeneratorCard:
    return GeneratorCard(
        classes=job.manifest.classes,
        sample_rate_hz=job.manifest.clip.sample_rate_hz,
        view=job.manifest.views["cgan"],
        noise_dim=job.networks.noise_dim,
        preset=job.config.preset,
        epochs=job.config.epochs,
        dataset_sha256=job.manifest.content_sha256,
    )


def _note(history: list[dict[str, Any]], job: _Job) -> str:
    note = f"epoch {len(history) + 1}/{job.config.epochs}"
    if history:
        note += f", loss_D {history[-1]['loss_D']:.3f}, loss_G {history[-1]['loss_G']:.3f}"
    return note


class _Poster:
    """Tells the driver how many steps are done, a few times a second at most."""

    def __init__(self, queue: Queue | None, steps_before: int, note: str) -> None:
        self._queue, self._steps_before, self._note = queue, steps_before, note
        self._last = 0.0

    def __call__(self, steps: int) -> None:
        if self._queue is not None and time.monotonic() - self._last > 0.5:
            self._last = time.monotonic()
            self._queue.put((self._steps_before + steps, self._note))


@contextmanager
def _shown_progress(total_steps: int) -> Iterator[Queue]:
    """A queue for the workers, whose messages the driver shows until the block ends."""
    queue = Queue(actor_options={"num_cpus": 0})
    ended = threading.Event()
    with Progress("train cgan", total_steps, "steps") as progress:

        def follow() -> None:
            while not ended.is_set():
                try:
                    done, note = queue.get(timeout=1)
                    progress.update_to(done, note)
                except Empty:
                    continue

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield queue
            progress.update_to(total_steps)
        finally:
            ended.set()
            thread.join()
            queue.shutdown()
