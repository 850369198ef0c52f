"""Train the conditional GAN with Ray Train: starts the workers, and starts them again when they were lost.

The training itself knows nothing of this module.
"""

from typing import Any

import ray.train
import torch
from ray.train.torch import TorchTrainer, get_device

from freqquest import cluster
from freqquest.cgan.job import TrainJob
from freqquest.cgan.parallel import Worker
from freqquest.cgan.training import train_generator
from freqquest.errors import UserError
from freqquest.runs.progress import Poster

_RAY_DIR = "checkpoints"
_MAX_FAILURES, _MAX_ELASTIC_FAILURES = 2, 20
"""Times that workers are started again; where their number may change, nodes are expected to go."""


def run_workers(job: TrainJob) -> dict[str, Any]:
    """Start the workers and wait for them.

    Returns:
        The final figures, or what stopped the training under `error`.
    """
    cluster.quiet("train")
    fewest, most = job.config.workers
    max_failures = _MAX_FAILURES if fewest == most else _MAX_ELASTIC_FAILURES
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=most if fewest == most else (fewest, most),
            use_gpu=job.config.use_gpu,
            resources_per_worker=job.resources,
        ),
        run_config=ray.train.RunConfig(
            name=_RAY_DIR,
            storage_path=job.run.path,
            storage_filesystem=job.run.filesystem,
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
        ),
    )
    try:
        figures: dict[str, Any] = trainer.fit().return_value
    except ray.train.TrainingFailedError as error:
        failures = getattr(error, "worker_failures", {}) or {0: error}
        return {"error": "; ".join(f"worker {rank}: {_reason(failure)}" for rank, failure in failures.items())}
    return figures


def _reason(failure: Exception) -> str:
    """What happened, in a line: before it, Ray gives the remote traceback."""
    cause = getattr(failure, "cause", None) or failure
    lines = str(cause).strip().splitlines() or ["no reason given"]
    return lines[-1] if isinstance(cause, UserError) else f"{type(cause).__name__}: {lines[-1]}"


def _train_worker(settings: dict[str, TrainJob]) -> dict[str, Any]:
    """What each worker runs. What would happen again at every attempt is returned; what is raised is tried again."""
    job = settings["job"]
    context = ray.train.get_context()
    worker = Worker(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(max(1, int(job.resources["CPU"])))
    post = Poster(job.progress if worker.rank == 0 else None)
    try:
        return train_generator(job, worker, get_device(), post)
    except FloatingPointError as error:  # on every worker alike
        return {"error": str(error)}
    except UserError as error:
        if worker.world_size > 1:
            raise  # the others would wait for this one: Ray ends them
        return {"error": str(error)}
