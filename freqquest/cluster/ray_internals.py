"""Private APIs of Ray, in one place. Checked with Ray 2.60.0.

Names that Ray neither documents nor promises to keep; tests/cluster/test_ray_internals.py fails
when one of them changes. Imports no Ray.
"""

import os
from pathlib import Path

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
