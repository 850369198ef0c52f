"""What freqquest asks of Ray: a connection, enough resources, and quiet.

Light to import: Ray is loaded by the functions that need it.
"""

import logging
import math
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqquest.errors import UserError

if TYPE_CHECKING:
    from freqquest.needs import Needs

_TRAINING_BYTES = 3 * 2**30
"""What one training of a classifier takes at most, beside the clips that all share."""

_LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Ray would take 30 % of the machine's memory; what the jobs pass between processes is mostly smaller, and what
is larger (10,000 clips to train a classifier on) goes by way of the disk."""

_ANSWER_TIMEOUT_S = 5.0

_TOKEN_FIX = (
    "set RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token, or in the file that "
    "RAY_AUTH_TOKEN_PATH names (RAY_AUTH_TOKEN goes before both)"
)

_LAUNCHER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""On the head node of a cluster that `ray up` started."""


_HEAD = "node:__internal_head__"
"""A resource that the head node alone has."""

_COUNTED = {"CPU": "cores", "GPU": "GPUs"}


def prepare_environment() -> None:
    """Set what Ray reads when it is imported or started; a cluster that exists already has settings of its own."""
    os.environ.setdefault("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(_LOCAL_OBJECT_STORE_BYTES))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_ADDRESS" in os.environ:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "5")  # seconds until it gives up a cluster that refuses
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # trials write their own logs
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # pages long; ours are lines
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would call an interrupted search a finished one
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints tables even when told to be silent


def connect(needs: "Needs | None" = None, *, dry_run: bool = False) -> None:
    """Connect to the Ray cluster this machine belongs to, else start Ray here; see whether it can do what is needed.

    Nothing happens where Ray is connected already.

    Args:
        needs: What the job asks for; where several nodes take part, they are told of in a table.
        dry_run: Print the table in any case, on standard output.

    Raises:
        UserError: There is no such cluster, it refuses this process, or something that the job needs is missing.
    """
    prepare_environment()
    import ray

    if ray.is_initialized():
        return
    with _clear_refusals():
        # The driver shows progress; workers' prints lie in Ray's logs, and their errors come as exceptions.
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    if threading.current_thread() is threading.main_thread():
        # `ray job stop` ends a job as Ctrl+C does; Ray's own handler prints a stack and exits at once.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if needs is None:
        return
    from freqquest import preflight

    rows = preflight.check(needs, must_exist=dry_run)
    if dry_run or len(ray.nodes()) > 1 or is_submitted():
        print(preflight.table(rows), file=sys.stdout if dry_run else sys.stderr, flush=True)
    try:
        preflight.require(rows)
    except UserError:
        ray.shutdown()  # or another try would find Ray connected, and not look again
        raise


@contextmanager
def _clear_refusals() -> Iterator[None]:
    """What Ray says of clusters that cannot be connected to, each in a line."""
    import ray

    address = os.environ.get("RAY_ADDRESS", "auto")
    if "://" in address:
        raise UserError(
            f"RAY_ADDRESS={address}: a job runs inside of the cluster; send it there with ray job submit --address "
            "http://HOST:8265 --working-dir . -- python jobs/..."
        )
    _require_answer(address)
    try:
        yield
    except ray.exceptions.AuthenticationError as error:
        raise UserError(f"no token for the Ray cluster: {_TOKEN_FIX}") from error
    except ConnectionError as error:
        if ":" in address:
            raise UserError(f"the Ray cluster at {address} does not accept this job's token: {_TOKEN_FIX}") from error
        raise UserError(f"{error}; what a Ray that crashed left on this machine is cleared by: ray stop") from error
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        raise UserError(f"{' '.join(str(error).split())} Run the job with the cluster's own Python and Ray.") from error


def _require_answer(address: str) -> None:
    """Ray would try for some minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}): is it up, and reachable from here? Without "
            "RAY_ADDRESS, Ray is started on this machine"
        ) from error


def is_submitted() -> bool:
    """Whether this job came by `ray job submit --working-dir`, and runs in a folder of the queue."""
    return '"working_dir"' in os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "")


def beside_driver() -> Any:
    """The `scheduling_strategy` of what must not be lost with another node: on the driver's own, where it would be in
    vain without the driver.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


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
    nodes, is_limited = _nodes()
    num_gpus, num_cpus = (int(sum(node.get(name, 0) for node in nodes)) for name in ("GPU", "CPU"))
    largest = int(max(node.get("CPU", 0) for node in nodes))
    for wanted in (most_workers or num_workers, num_workers):
        for cpus in range(min(cpus_per_worker or largest, largest), 0, -1):
            places = [min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if use_gpu else math.inf) for node in nodes]
            if sum(places) >= wanted:
                return {"CPU": cpus, "GPU": int(use_gpu)}
    if not is_limited:  # an autoscaler will bring what it may
        return {"CPU": cpus_per_worker or 1, "GPU": int(use_gpu)}
    if use_gpu and num_gpus < num_workers:
        raise UserError(
            f"--use-gpu with {num_workers} worker(s) needs {num_workers} GPU(s), the cluster has {num_gpus}: "
            "leave out --use-gpu, or ask for fewer workers"
        )
    raise UserError(f"{num_workers} workers need a CPU core each, the cluster has {num_cpus}: ask for fewer workers")


def describe() -> str:
    """The cluster's nodes, now and at most, for people."""
    import ray

    now = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes, is_limited = _nodes()
    text = f"{len(now)} node(s): {_count(now)}"
    if not is_limited:
        return f"{text}; more by Kubernetes, which alone knows how many"
    return f"{text}; with nodes yet to come {_count(nodes)}" if len(nodes) > len(now) else text


def _count(nodes: list[dict[str, float]]) -> str:
    return ", ".join(f"{sum(node.get(key, 0) for node in nodes):.0f} {name}" for key, name in _COUNTED.items())


def _nodes() -> tuple[list[dict[str, float]], bool]:
    """Resources of every node that there is or, with an autoscaler, can be; and whether there can be no others."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    launched = _LAUNCHER_CONFIG.expanduser()
    if launched.exists():
        import yaml  # Ray brings it

        return _with_launched(nodes, yaml.safe_load(launched.read_text())), True
    # KubeRay's operator starts a head without Ray's own monitor where its autoscaler runs beside it.
    return nodes, "--no-monitor" not in os.environ.get("KUBERAY_GEN_RAY_START_CMD", "")


def _with_launched(nodes: list[dict[str, float]], config: dict[str, Any]) -> list[dict[str, float]]:
    """As many nodes of each kind as `ray up` may start, and those that are there and of no such kind."""
    kinds = [kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]]

    def is_of(kind: dict[str, Any], node: dict[str, float]) -> bool:
        return all(node.get(name, 0) == kind.get("resources", {}).get(name, 0) for name in _COUNTED)

    possible = [
        kind.get("resources", {}) for kind in kinds for _ in range(min(kind["max_workers"], config["max_workers"]))
    ]
    return [node for node in nodes if _HEAD in node or not any(is_of(kind, node) for kind in kinds)] + possible


def num_cores() -> int:
    """Of the cluster; with an autoscaler, of all nodes that there can be."""
    return int(sum(node.get("CPU", 0) for node in _nodes()[0]))


def may_replace_nodes() -> bool:
    """Whether what a lost node did can go on elsewhere."""
    nodes, is_limited = _nodes()
    return len(nodes) > 1 or not is_limited


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
    all_nodes, _ = _nodes()
    nodes = [node for node in all_nodes if node.get("CPU") and bool(node.get("GPU")) == use_gpu] or all_nodes
    at_once = min(num_tasks, int(sum(node.get("GPU", 0) for node in nodes)) * sharing_gpu) if use_gpu else num_tasks
    largest = max(int(node.get("CPU", 0)) for node in nodes)
    cores = largest // max(1, math.ceil(at_once / len(nodes)))
    resources = require(num_workers=1, cpus_per_worker=cpus_each or max(1, cores), use_gpu=use_gpu)
    memory = max(node.get("memory", 0) for node in all_nodes)
    return resources | {"GPU": resources["GPU"] / sharing_gpu, "memory": min(_TRAINING_BYTES, memory)}
