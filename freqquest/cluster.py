"""What freqquest asks of Ray: a connection, enough resources, and quiet.

Light to import: Ray is loaded by the functions that need it.
"""

import logging
import math
import os
import warnings

from freqquest.errors import UserError

_TRAINING_BYTES = 3 * 2**30
"""What one training of a classifier takes at most, beside the clips that all share."""

_LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Ray would take 30 % of the machine's memory; what the jobs pass between processes is mostly smaller, and what
is larger (10,000 clips to train a classifier on) goes by way of the disk."""


def prepare_environment() -> None:
    """Set what Ray reads when it is imported or started; a cluster that exists already has settings of its own."""
    os.environ.setdefault("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(_LOCAL_OBJECT_STORE_BYTES))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # trials write their own logs
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would call an interrupted search a finished one
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints tables even when told to be silent


def connect() -> None:
    """Connect to the Ray cluster this machine belongs to, else start Ray here."""
    prepare_environment()
    import ray

    if not ray.is_initialized():
        # The driver shows progress; workers' prints lie in Ray's logs, and their errors come as exceptions.
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def quiet(library: str) -> None:
    """Silence a Ray library's own progress and warnings, in favour of ours; call after importing it."""
    logging.getLogger(f"ray.{library}").setLevel(logging.ERROR)
    if library == "data":
        from ray.data import DataContext

        DataContext.get_current().enable_progress_bars = False
        DataContext.get_current().print_on_execution_start = False
        # max_restarts of an actor pool has no named parameter yet.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")


def require(
    *, num_workers: int, cpus_per_worker: int | None, use_gpu: bool, most_workers: int | None = None
) -> dict[str, float]:
    """Resources of one worker, such that the cluster can run all of them side by side.

    Args:
        num_workers: How many.
        cpus_per_worker: CPU cores wanted for each; None asks for as many as fit.
        use_gpu: One GPU for each worker.
        most_workers: Where their number may change, such that so many fit, if they can.

    Returns:
        Ray's resources for each worker; fewer cores than wanted where no more fit.

    Raises:
        UserError: The cluster lacks GPUs or cores; Ray itself would wait for them forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    num_gpus, num_cpus = (int(sum(node.get(name, 0) for node in nodes)) for name in ("GPU", "CPU"))
    if use_gpu and num_gpus < num_workers:
        raise UserError(
            f"--use-gpu with {num_workers} worker(s) needs {num_workers} GPU(s), the cluster has {num_gpus}: "
            "leave out --use-gpu, or ask for fewer workers"
        )
    largest = int(max(node.get("CPU", 0) for node in nodes))
    for wanted in (most_workers or num_workers, num_workers):
        for cpus in range(min(cpus_per_worker or largest, largest), 0, -1):
            places = [min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if use_gpu else math.inf) for node in nodes]
            if sum(places) >= wanted:
                return {"CPU": cpus, "GPU": int(use_gpu)}
    raise UserError(f"{num_workers} workers need a CPU core each, the cluster has {num_cpus}: ask for fewer workers")


def share_out(num_tasks: int, *, cpus_each: int | None, use_gpu: bool, sharing_gpu: int = 1) -> dict[str, float]:
    """Resources of each of several trainings that need not run all at once.

    Args:
        num_tasks: How many there are.
        cpus_each: CPU cores of each; None shares the cluster's cores out among them.
        use_gpu: Whether they train on GPUs.
        sharing_gpu: How many of them share one.

    Returns:
        Ray's resources for each; memory among them, so that no more run on a node than it can hold.

    Raises:
        UserError: There is no GPU.
    """
    import ray

    cores = int(ray.cluster_resources().get("CPU", 1))
    resources = require(num_workers=1, cpus_per_worker=cpus_each or max(1, cores // num_tasks), use_gpu=use_gpu)
    largest = max(node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"])
    return resources | {"GPU": resources["GPU"] / sharing_gpu, "memory": min(_TRAINING_BYTES, largest)}
