"""Private APIs of Ray, in one place. Checked with Ray 2.60.0.

Names that Ray neither documents nor promises to keep; tests/cluster/test_ray_internals.py fails
when one of them changes. Imports no Ray.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster
    from ray.tune import Callback, Tuner
    from ray.tune.experiment import Trial
    from ray.tune.logger import LoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from freqquest.storage import Location

CHECKED_VERSION = "2.60.0"

HEAD_NODE_RESOURCE = "node:__internal_head__"
"""Resource that the head node alone has."""

LAUNCHER_CONFIG = "~/ray_bootstrap_config.yaml"
"""Cluster configuration, on the head node of a cluster that `ray up` started."""

KUBERAY_START_COMMAND_VARIABLE = "KUBERAY_GEN_RAY_START_CMD"
"""Environment variable with the command by which KubeRay's operator started this node."""

JOB_CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable with the configuration of a job that `ray job submit` started."""

QUIET_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # trials write their own logs
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # pages long; ours are lines
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would report an interrupted search as finished
    "RAY_AIR_NEW_OUTPUT": "0",  # it prints tables even when told to be silent
}
"""Environment variables that Ray reads when it is imported, and the values we prefer."""

OBJECT_STORE_VARIABLE = "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES"
"""Environment variable that limits the shared memory of a Ray that is started here."""

CONNECTION_ATTEMPTS_VARIABLE = "RAY_NUM_REDIS_GET_RETRIES"
"""Environment variable with the seconds after which Ray gives up a cluster that refuses."""

KEEP_GPUS_VARIABLE = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"
"""Environment variable; "0" lets tasks without GPUs see the devices that the process sees."""

RAY_REMOTE_ARGS_WARNING = "`ray_remote_args` is deprecated"
"""Start of Ray Data's warning about the one way to set `max_restarts` of an actor pool."""

DATA_CONTEXT_SETTINGS = {
    "enable_progress_bars": False,
    "print_on_execution_start": False,
    "raise_original_map_exception": True,  # otherwise an outage becomes a page of text
}
"""Attributes of Ray Data's `DataContext`, and the values we prefer."""


START_TIMEOUT_TEXT = "timed out during startup"
"""Part of the message of the bare `Exception` by which Ray gives up to start here."""

WORKER_START_TIMEOUT_VARIABLE = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
"""Environment variable with the seconds that Ray Train waits for room for all workers."""


def launcher_config_file() -> Path | None:
    """Return the configuration of the cluster that `ray up` started, if this is its head node."""
    file = Path(LAUNCHER_CONFIG).expanduser()
    return file if file.exists() else None


def is_scaled_by_kuberay() -> bool:
    """Return whether KubeRay's autoscaler runs beside this head, which then has no own monitor."""
    return "--no-monitor" in os.environ.get(KUBERAY_START_COMMAND_VARIABLE, "")


def is_submitted_with_code() -> bool:
    """Return whether this job came by `ray job submit` with a working directory of its own."""
    return '"working_dir"' in os.environ.get(JOB_CONFIG_VARIABLE, "")


@contextmanager
def detected_cores(count: int) -> Iterator[None]:
    """Let a Ray that is started here find this number of CPU cores.

    Its own detection ignores the affinity of this process and quotas of nested control groups, and
    finds no core where the quota is less than one. `ray.init(num_cpus=...)` would refuse to connect
    to a Ray that runs already.
    """
    with mock.patch("ray._private.utils.get_num_cpus", return_value=count):
        yield


@contextmanager
def no_sigterm_handler() -> Iterator[None]:
    """Keep Ray from handling SIGTERM while it starts; its C++ code does so later nevertheless."""
    with mock.patch("ray._private.utils.set_sigterm_handler"):
        yield


@contextmanager
def hidden_cluster() -> "Iterator[Cluster]":
    """Yield an empty cluster on this machine, whose nodes are added by `add_node`.

    Ray usually writes the address of a cluster that it starts to a file, where all of this user's
    programs find it. Here it does not, so only those that know the address connect.
    """
    from ray.cluster_utils import Cluster

    with (
        mock.patch("ray._private.utils.write_ray_address"),
        mock.patch("ray._common.utils.reset_ray_address"),
    ):
        cluster = Cluster()
        try:
            yield cluster
        finally:
            cluster.shutdown()


def use_all_cores_at_once() -> None:
    """Let Ray Data ask often how large the cluster is.

    It runs one task at a time until it has an answer; by default, it looks for it once a second.
    """
    from ray.data._internal.execution.resource_manager import ResourceManager

    ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = 0.05


def remove_placement_group(name: str) -> None:
    """Remove a placement group, given its number as `placement_group_table` has it."""
    import ray
    from ray.util.placement_group import PlacementGroup

    group = PlacementGroup(ray.PlacementGroupID(bytes.fromhex(name)))
    ray.util.remove_placement_group(group)


def enter_rungs(scheduler: "ASHAScheduler", trial_id: str, scores: dict[float, float]) -> None:
    """Enter the scores of a trial, of which the highest is best, at ASHA's rungs."""
    bracket = scheduler._trial_info[trial_id]
    for milestone, recorded in bracket._rungs:
        if milestone in scores:
            recorded[trial_id] = scores[milestone]


def knows_trial(search: "OptunaSearch", trial_id: str) -> bool:
    """Return whether Optuna has proposed this trial; it fails for results of any other."""
    return trial_id in search._ot_trials


def set_max_pending_trials(count: int) -> None:
    """Let Ray Tune request resources for this many trials at once.

    With a search algorithm, its default is one, and an autoscaler would add node after node.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(count)


def wait_for_stopped_trials() -> None:
    """Let a trial's process wait for the thread of the trial before it, which it takes over.

    A stopped trial trains on until its next report. By default, Ray Tune waits for 2 s, and then
    fails the following trial. Call it inside of a trial.
    """
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "600"


def trial_folder() -> "Location":
    """Return the folder of the trial that runs in this process, in the storage of the search."""
    from ray import tune

    from freqquest.storage import Location

    storage = tune.get_context().get_storage()
    return Location(storage.storage_filesystem, storage.trial_fs_path)


def set_callbacks(tuner: "Tuner", callbacks: "list[Callback]") -> None:
    """Replace the callbacks of a restored search, which Ray Tune takes from its own file."""
    tuner._local_tuner.get_run_config().callbacks = callbacks


def mlflow_runs(callback: "LoggerCallback") -> "dict[Trial, str]":
    """Return the ID of each trial's run in Ray Tune's callback for MLflow; none in another one."""
    runs: dict[Trial, str] = getattr(callback, "_trial_runs", {})
    return runs


def is_lost_worker(failure: Exception) -> bool:
    """Return whether a worker's failure in Ray Train means that its process or node was lost."""
    return hasattr(failure, "health_check_failure")
