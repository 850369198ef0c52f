"""Training of the conditional GAN with Ray Train: start the workers, and restart lost ones.

The training itself (`freqquest.cgan.training_loop`) knows nothing of this module.
"""

import os
from collections.abc import Mapping

import ray.train
import torch
from ray.train.torch import TorchTrainer, get_device

from freqquest.cgan.distributed import Worker
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.training_loop import StartError, run_training
from freqquest.cluster import connection, ray_internals
from freqquest.cluster.cores import num_usable_cores
from freqquest.cluster.remote_progress import ProgressReporter
from freqquest.cluster.torch_environment import torch_environment
from freqquest.errors import UserError
from freqquest.runs import layout

_MAX_RESTARTS, _MAX_ELASTIC_RESTARTS = 2, 20
"""Restarts of the workers; a training with a variable number of them expects nodes to go."""

_LOST = "its process or node was lost"

_START_TIMEOUT_S = 20
"""Time after which Ray Train starts fewer of a variable number of workers if not all fit.

Its default is a minute; it notices a lost node after 20 s.
"""

_GROW_INTERVAL_S = 90.0
"""Time between two checks whether more of a variable number of workers fit.

New workers continue from the last checkpoint. With Ray Train's default of a minute they would
always come shortly before a checkpoint.
"""


def run_workers(job: TrainJob) -> dict[str, object]:
    """Start the workers and wait for them.

    Returns:
        The final metrics, or the reason why the training stopped as `error`.
    """
    connection.configure("train")
    min_workers, max_workers = job.config.workers
    is_elastic = min_workers < max_workers
    max_restarts = _MAX_ELASTIC_RESTARTS if is_elastic else _MAX_RESTARTS
    if is_elastic:
        os.environ.setdefault(ray_internals.WORKER_START_TIMEOUT_VARIABLE, str(_START_TIMEOUT_S))
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=(min_workers, max_workers) if is_elastic else max_workers,
            elastic_resize_monitor_interval_s=_GROW_INTERVAL_S,
            use_gpu=job.config.use_gpu,
            resources_per_worker=job.resources,
        ),
        run_config=ray.train.RunConfig(
            name=layout.CHECKPOINTS_DIR,
            storage_path=job.run.path,
            storage_filesystem=job.run.filesystem,
            failure_config=ray.train.FailureConfig(max_failures=max_restarts),
            callbacks=[_LostWorkerReporter(job)],
            worker_runtime_env=torch_environment(),
        ),
    )
    try:
        metrics: dict[str, object] = trainer.fit().return_value
    except ray.train.TrainingFailedError as error:
        return {"error": _reasons(getattr(error, "worker_failures", {}) or {0: error})}
    return metrics


class _LostWorkerReporter(ray.train.UserCallback):  # type: ignore[misc]  # Ray ships no types
    """Tells the driver that workers were lost, and what their successors wait for.

    Ray Train waits silently, and forever if the number of workers is fixed.
    """

    def __init__(self, job: TrainJob) -> None:
        """Report what the first workers wait for."""
        min_workers, max_workers = job.config.workers
        is_fixed = min_workers == max_workers
        number = str(max_workers) if is_fixed else f"{min_workers} to {max_workers}"
        resources = " and ".join(
            f"{amount:g} {name}" for name, amount in job.resources.items() if amount
        )
        assert job.progress is not None
        self._progress = job.progress
        self._waiting = f"starting {number} worker(s) with {resources} each as soon as they fit"
        self._progress.put((None, self._waiting))

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Report why workers were lost. Ray Train calls this before it restarts them."""
        self._progress.put((None, f"{_reasons(worker_exceptions)}; {self._waiting}"))


def _reasons(failures: dict[int, Exception]) -> str:
    """Return the reason of each failure; if workers were lost, only theirs, the cause of all."""
    reasons = {rank: _reason(failure) for rank, failure in sorted(failures.items())}
    lost = {rank: reason for rank, reason in reasons.items() if reason == _LOST}
    return "; ".join(f"worker {rank}: {reason}" for rank, reason in (lost or reasons).items())


def _reason(failure: Exception) -> str:
    """Return the reason in one line, without the remote traceback that Ray puts before it."""
    if ray_internals.is_lost_worker(failure):
        return _LOST
    cause = getattr(failure, "cause", None) or failure
    lines = str(cause).strip().splitlines() or ["no reason given"]
    return lines[-1] if isinstance(cause, UserError) else f"{type(cause).__name__}: {lines[-1]}"


def _train_worker(settings: dict[str, TrainJob]) -> Mapping[str, object]:
    """Run one worker.

    Ray Train restarts the workers after an exception, so an error that every attempt would repeat
    is returned instead.
    """
    job = settings["job"]
    context = ray.train.get_context()
    worker = Worker(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(max(1, min(int(job.resources["CPU"]), num_usable_cores())))
    reporter = ProgressReporter(job.progress if worker.rank == 0 else None)
    try:
        return run_training(job, worker, get_device(), reporter)
    except (FloatingPointError, StartError) as error:  # on every worker alike
        return {"error": str(error)}
    except UserError as error:
        if worker.world_size > 1:
            raise  # the others would wait for this one: Ray ends them
        return {"error": str(error)}
