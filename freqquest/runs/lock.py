"""One job at a time in a run folder.

A lock ends with its process, however that ends: nothing stale is left. Local folders are locked by the operating
system, which covers the jobs of one machine, and so those that a queue starts on its head; remote ones by an actor of
a name that only one can have, which covers the jobs of one cluster.
"""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

from freqquest.cluster import connection
from freqquest.errors import UserError
from freqquest.storage import Location

_NAME = ".lock"
_PATIENCE_S = 10.0
"""A job that was stopped a moment ago may not have ended yet."""


class Lock:
    """Held as long as the object lives."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder


_locks: "WeakValueDictionary[str, Lock]" = WeakValueDictionary()
"""Those of this process: its stages share one."""


def lock(run: Location) -> Lock:
    """Hold a run folder; the folder is made, if it is local.

    Raises:
        UserError: Another process holds it.
    """
    held = _locks.get(str(run))
    if held is None:
        held = _locks[str(run)] = _patiently(_lock_local if run.is_local else _lock_remote, run)
    return held


def _patiently(hold: Callable[[Location], Lock], run: Location) -> Lock:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return hold(run)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"another job is at work in {run}: let it finish, or stop it, and then run this one again"
                ) from error
            time.sleep(0.5)


def _lock_local(run: Location) -> Lock:
    run.make_dirs()
    file = Path((run / _NAME).path).open("a")  # noqa: SIM115 - held open as long as the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    except OSError:
        pass  # a file system without locks
    held = Lock(file)
    finalize(held, file.close)
    return held


def _lock_remote(run: Location) -> Lock:
    import ray

    holder = ray.remote(num_cpus=0, scheduling_strategy=connection.on_driver_node())(_Holder)
    try:
        return Lock(holder.options(name=f"run {run}", namespace="freqquest").remote())
    except ValueError as error:  # the name is taken
        raise BlockingIOError from error


class _Holder:
    """Does nothing, under a name."""
