"""A quiet connection to Ray, and clear errors where there is none.

Light to import: Ray is loaded by the functions that need it.
"""

import logging
import os
import re
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from freqquest.cluster import ray_internals
from freqquest.cluster.cores import num_usable_cores
from freqquest.errors import UserError

if TYPE_CHECKING:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Shared memory of a Ray started here, which would take 30 % of the machine's memory.

The jobs mostly pass smaller objects between processes. Larger ones, such as 10,000 clips to train
a classifier on, are spilled to disk."""

_ANSWER_TIMEOUT_S = 5.0

_CONNECTION_ATTEMPTS = 5
"""Attempts, one a second, at a cluster that refuses this process."""

_TOKEN_FIX = (
    "set RAY_AUTH_MODE=token, and put the cluster's token into ~/.ray/auth_token, or into the file "
    "that RAY_AUTH_TOKEN_PATH names (RAY_AUTH_TOKEN overrides both)"
)


def prepare_environment() -> None:
    """Set the variables that Ray reads when it is imported or started.

    A cluster that exists already has settings of its own.
    """
    variables = ray_internals.QUIET_VARIABLES | {
        ray_internals.OBJECT_STORE_VARIABLE: str(_LOCAL_OBJECT_STORE_BYTES),
        ray_internals.KEEP_GPUS_VARIABLE: "0",
    }
    if "RAY_ADDRESS" in os.environ:
        variables[ray_internals.CONNECTION_ATTEMPTS_VARIABLE] = str(_CONNECTION_ATTEMPTS)
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def connect() -> bool:
    """Connect to the Ray cluster that this machine belongs to, or start Ray here.

    Returns:
        Whether this process was not connected before.

    Raises:
        UserError: There is no such cluster, or it refuses this process.
    """
    prepare_environment()
    import ray

    if ray.is_initialized():
        return False
    num_cores = num_usable_cores()
    with _clear_errors(), _keep_sigterm_handler(), ray_internals.detected_cores(num_cores):
        # The driver shows progress. Prints of workers are in Ray's logs, and their errors
        # arrive as exceptions.
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    return True


@contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Keep this process's handler of SIGTERM; Ray's own end it without a word, or with a stack."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with ray_internals.no_sigterm_handler():
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn Ray's errors about a cluster that it cannot connect to into one line each."""
    import ray

    address = os.environ.get("RAY_ADDRESS", "auto")
    _check_address(address)
    try:
        yield
    except ray.exceptions.AuthenticationError as error:
        raise UserError(f"no token for the Ray cluster: {_TOKEN_FIX}") from error
    except ConnectionError as error:
        # Without RAY_ADDRESS, Ray finds an address by itself, and its error names it.
        found = re.search(r"[\w.-]+:\d+", f"{address} {error}")
        if found and not _connection_error(found[0]):
            raise UserError(
                f"{found[0]} is not a Ray cluster, or does not accept this job's token: "
                f"{_TOKEN_FIX}"
            ) from error
        raise UserError(
            f"{error}; if a Ray that crashed left files on this machine, clear them with: ray stop"
        ) from error
    except Exception as error:
        if ray_internals.START_TIMEOUT_TEXT in str(error):
            raise UserError(
                "Ray did not start in time: this machine is too busy; run the command again, or "
                "clear the remains of a crashed Ray with: ray stop"
            ) from error
        if "AF_UNIX path length" in str(error):
            raise UserError(
                f"{tempfile.gettempdir()} is too long a path for Ray's sockets: set RAY_TMPDIR to "
                "a short one, such as /tmp"
            ) from error
        if "ersion mismatch" not in str(error):
            raise
        raise UserError(
            f"{' '.join(str(error).split())} Run the job with the cluster's own Python and Ray."
        ) from error


def _check_address(address: str) -> None:
    """Refuse an address that cannot be a cluster's, or at which nothing answers."""
    if "://" in address:
        raise UserError(
            f"RAY_ADDRESS={address}: a job runs inside the cluster; send it there with "
            "ray job submit --address http://HOST:8265 --working-dir . -- "
            "python -m freqquest JOB ..."
        )
    if ":" in address and (error := _connection_error(address)):
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}): check that it is up and "
            "reachable from here; without RAY_ADDRESS, Ray is started on this machine"
        )


def _connection_error(address: str) -> Exception | None:
    """Return why nothing answers at an address, or None; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return error
    return None


def is_submitted() -> bool:
    """Return whether this job was submitted with its code, and runs in a folder of the queue."""
    return ray_internals.is_submitted_with_code()


def on_driver_node() -> "NodeAffinitySchedulingStrategy":
    """Return the scheduling strategy of an actor that is pinned to the driver's node.

    Such an actor is useless without the driver, and must not be lost with another node.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def configure(library: str) -> None:
    """Silence the progress and warnings of a Ray library, in favor of ours; speed up Ray Data.

    Args:
        library: "data", "train" or "tune", which must have been imported.
    """
    logging.getLogger(f"ray.{library}").setLevel(logging.ERROR)
    if library == "data":
        from ray.data import DataContext

        context = DataContext.get_current()
        for name, value in ray_internals.DATA_CONTEXT_SETTINGS.items():
            setattr(context, name, value)
        warnings.filterwarnings("ignore", message=ray_internals.RAY_REMOTE_ARGS_WARNING)
        ray_internals.use_all_cores_at_once()
