"""One job at a time in a run folder.

A lock ends with its process, however that ends, so none is ever stale. A local folder is locked
by the operating system: that covers the jobs of one machine, and so those that a job queue starts
on its head node. A remote folder is locked by a named actor, of which Ray allows only one: that
covers the jobs of one cluster.
"""

import time
from collections.abc import Callable
from weakref import WeakValueDictionary, finalize

from filelock import FileLock, Timeout

from freqquest.cluster import connection
from freqquest.errors import UserError
from freqquest.runs.layout import LOCK_NAME
from freqquest.storage import Location

_PATIENCE_S = 10.0
"""Longest wait for a job that was stopped a moment ago and may not have ended yet."""

_RETRY_S = 0.5


class Lock:
    """Lock of a run folder, held as long as this object lives."""

    def __init__(self, holder: object) -> None:
        self._holder = holder


_locks: "WeakValueDictionary[str, Lock]" = WeakValueDictionary()
"""Locks of this process, whose stages share one."""


def lock(run: Location) -> Lock:
    """Lock a run folder, which is made if it is local.

    Raises:
        UserError: Another process holds the lock.
    """
    held = _locks.get(str(run))
    if held is None:
        held = _locks[str(run)] = _lock_patiently(
            _lock_local if run.is_local else _lock_remote, run
        )
    return held


def _lock_patiently(attempt: Callable[[Location], Lock], run: Location) -> Lock:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return attempt(run)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"another job is at work in {run}: let it finish, or stop it, and then run "
                    "this one again"
                ) from error
            time.sleep(_RETRY_S)


def _lock_local(run: Location) -> Lock:
    run.make_dirs()
    # No fallback to a file that exists while the lock is held: a killed job would leave it behind.
    file_lock = FileLock((run / LOCK_NAME).path, thread_local=False, fallback_to_soft=False)
    try:
        file_lock.acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError from error
    except PermissionError:
        raise
    except (OSError, NotImplementedError):
        pass  # a file system without locks
    held = Lock(file_lock)
    finalize(held, file_lock.release)
    return held


def _lock_remote(run: Location) -> Lock:
    import ray

    holder = ray.remote(num_cpus=0, scheduling_strategy=connection.on_driver_node())(_LockHolder)
    try:
        return Lock(holder.options(name=f"run {run}", namespace="freqquest").remote())
    except ValueError as error:  # the name is taken
        raise BlockingIOError from error


class _LockHolder:
    """Actor that only occupies a name."""
