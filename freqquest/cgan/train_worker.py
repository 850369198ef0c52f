"""Train the conditional GAN with Ray Train: starts the workers, and starts them again when they were lost.

The training itself knows nothing of this module.
"""

import os
from typing import Any

import ray.train
import torch
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Queue

from freqquest.cgan.distributed import Worker
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.training_loop import train_generator
from freqquest.cluster import connection
from freqquest.cluster.remote_progress import ProgressReporter
from freqquest.errors import UserError
from freqquest.runs import layout

_MAX_FAILURES, _MAX_ELASTIC_FAILURES = 2, 20
"""Times that workers are started again; where their number may change, nodes are expected to go."""

_LOST = "its process or node was lost"

_START_TIMEOUT_S = 20
"""Where their number may change: after so long without room for all, Ray Train counts again what there is room for. By
default it would be a minute; a lost node is known to it after 20 s.
"""

_GROW_INTERVAL_S = 90.0
"""Where their number may change: how often to look for room for more. These begin from the last checkpoint, and by
Ray Train's default, a minute after the start, they would always come shortly before a checkpoint.
"""


def run_workers(job: TrainJob) -> dict[str, Any]:
    """Start the workers and wait for them.

    Returns:
        The final figures, or what stopped the training under `error`.
    """
    connection.silence("train")
    fewest, most = job.config.workers
    max_failures = _MAX_FAILURES if fewest == most else _MAX_ELASTIC_FAILURES
    if fewest < most:
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(_START_TIMEOUT_S))
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=most if fewest == most else (fewest, most),
            elastic_resize_monitor_interval_s=_GROW_INTERVAL_S,
            use_gpu=job.config.use_gpu,
            resources_per_worker=job.resources,
        ),
        run_config=ray.train.RunConfig(
            name=layout.CHECKPOINTS_DIR,
            storage_path=job.run.path,
            storage_filesystem=job.run.filesystem,
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
            callbacks=[_LossNote(job)],
        ),
    )
    try:
        figures: dict[str, Any] = trainer.fit().return_value
    except ray.train.TrainingFailedError as error:
        return {"error": _reasons(getattr(error, "worker_failures", {}) or {0: error})}
    return figures


class _LossNote(ray.train.UserCallback):
    """Tells the driver that workers were lost, and what their successors need: Ray Train waits for it without a word,
    for ever where their number is fixed.
    """

    def __init__(self, job: TrainJob) -> None:
        fewest, most = job.config.workers
        number = str(most) if fewest == most else f"{fewest} to {most}"
        room = " and ".join(
            f"{amount:g} {name}" for name, amount in job.resources.items() if amount
        )
        self._progress: Queue = job.progress
        self._waits_for = f"{number} worker(s) with {room} each begin when there is room"
        self._progress.put((None, self._waits_for))

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Called before the workers are started again."""
        self._progress.put((None, f"{_reasons(worker_exceptions)}; {self._waits_for}"))


def _reasons(failures: dict[int, Exception]) -> str:
    """What happened to which worker; where one was lost, the others failed for want of it."""
    reasons = {rank: _reason(failure) for rank, failure in sorted(failures.items())}
    lost = {rank: reason for rank, reason in reasons.items() if reason == _LOST}
    return "; ".join(f"worker {rank}: {reason}" for rank, reason in (lost or reasons).items())


def _reason(failure: Exception) -> str:
    """What happened, in a line: before it, Ray gives the remote traceback."""
    if hasattr(failure, "health_check_failure"):
        return _LOST
    cause = getattr(failure, "cause", None) or failure
    lines = str(cause).strip().splitlines() or ["no reason given"]
    return lines[-1] if isinstance(cause, UserError) else f"{type(cause).__name__}: {lines[-1]}"


def _train_worker(settings: dict[str, TrainJob]) -> dict[str, Any]:
    """What each worker runs. What would happen again at every attempt is returned; what is raised is tried again."""
    job = settings["job"]
    context = ray.train.get_context()
    worker = Worker(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(max(1, int(job.resources["CPU"])))
    post = ProgressReporter(job.progress if worker.rank == 0 else None)
    try:
        return train_generator(job, worker, get_device(), post)
    except FloatingPointError as error:  # on every worker alike
        return {"error": str(error)}
    except UserError as error:
        if worker.world_size > 1:
            raise  # the others would wait for this one: Ray ends them
        return {"error": str(error)}
