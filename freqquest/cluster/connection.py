"""What freqquest asks of Ray: a connection, and quiet.

Light to import: Ray is loaded by the functions that need it.
"""

import logging
import os
import re
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from freqquest.errors import UserError

_LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Ray would take 30 % of the machine's memory; what the jobs pass between processes is mostly smaller, and what
is larger (10,000 clips to train a classifier on) goes by way of the disk."""

_ANSWER_TIMEOUT_S = 5.0

_TOKEN_FIX = (
    "set RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token, or in the file that "
    "RAY_AUTH_TOKEN_PATH names (RAY_AUTH_TOKEN goes before both)"
)


def prepare_environment() -> None:
    """Set what Ray reads when it is imported or started; a cluster that exists already has settings of its own."""
    os.environ.setdefault(
        "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(_LOCAL_OBJECT_STORE_BYTES)
    )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_ADDRESS" in os.environ:
        os.environ.setdefault(
            "RAY_NUM_REDIS_GET_RETRIES", "5"
        )  # seconds until it gives up a cluster that refuses
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # trials write their own logs
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # pages long; ours are lines
    os.environ.setdefault(
        "TUNE_DISABLE_SIGINT_HANDLER", "1"
    )  # it would call an interrupted search a finished one
    os.environ.setdefault(
        "RAY_AIR_NEW_OUTPUT", "0"
    )  # the new one prints tables even when told to be silent


def connect() -> bool:
    """Connect to the Ray cluster this machine belongs to, else start Ray here.

    Returns:
        Whether this was to be done; it may be done already.

    Raises:
        UserError: There is no such cluster, or it refuses this process.
    """
    prepare_environment()
    import ray

    if ray.is_initialized():
        return False
    with _clear_refusals():
        # The driver shows progress; workers' prints lie in Ray's logs, and their errors come as exceptions.
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    if threading.current_thread() is threading.main_thread():
        # `ray job stop` ends a job as Ctrl+C does; Ray's own handler prints a stack and exits at once.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    return True


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
    if ":" in address and (silence := _silence(address)):
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({silence}): is it up, and reachable from here? Without "
            "RAY_ADDRESS, Ray is started on this machine"
        )
    try:
        yield
    except ray.exceptions.AuthenticationError as error:
        raise UserError(f"no token for the Ray cluster: {_TOKEN_FIX}") from error
    except ConnectionError as error:
        found = re.search(
            r"[\w.-]+:\d+", f"{address} {error}"
        )  # without RAY_ADDRESS, Ray finds one by itself
        if found and not _silence(found[0]):
            raise UserError(
                f"at {found[0]} is no Ray cluster, or one that does not accept this job's token: {_TOKEN_FIX}"
            ) from error
        raise UserError(
            f"{error}; what a Ray that crashed left on this machine is cleared by: ray stop"
        ) from error
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        raise UserError(
            f"{' '.join(str(error).split())} Run the job with the cluster's own Python and Ray."
        ) from error


def _silence(address: str) -> Exception | None:
    """Why nothing answers there, which Ray would try for some minutes; None where something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return error
    return None


def is_submitted() -> bool:
    """Whether this job came by `ray job submit --working-dir`, and runs in a folder of the queue."""
    return '"working_dir"' in os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "")


def on_driver_node() -> Any:
    """The `scheduling_strategy` of what must not be lost with another node: on the driver's own, where it would be in
    vain without the driver.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def silence(library: str) -> None:
    """Silence a Ray library's own progress and warnings, in favor of ours; call after importing it."""
    logging.getLogger(f"ray.{library}").setLevel(logging.ERROR)
    if library == "data":
        from ray.data import DataContext

        DataContext.get_current().enable_progress_bars = False
        DataContext.get_current().print_on_execution_start = False
        DataContext.get_current().raise_original_map_exception = (
            True  # else an outage becomes a page of text
        )
        # max_restarts of an actor pool has no named parameter yet.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
