"""Tasks and actors that end with the wait for them, also when Ctrl+C or a notebook ends it.

Light to import: Ray is loaded by the functions.
"""

import gc
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from freqquest.cluster.ray_internals import remove_placement_group

if TYPE_CHECKING:
    from ray import ObjectRef

_PATIENCE_S = 10.0
"""Longest wait for canceled tasks to end."""


@contextmanager
def cancel_on_error(tasks: "Collection[ObjectRef]") -> Iterator[None]:
    """End tasks if the block ends with an error or Ctrl+C; Ray would let them run on.

    Otherwise an interrupted cell of a notebook would leave a training behind, and run a second one
    beside it when it is run again. The processes that a task has started end with it.

    Args:
        tasks: The tasks that the block waits for; it may add and remove some.
    """
    import ray

    try:
        yield
    except BaseException:
        # Only those under way: Ray ends this process if a task is canceled while it completes.
        if running := _running(tasks):
            for task in running:
                ray.cancel(task, force=True)
            ray.wait(running, num_returns=len(running), timeout=_PATIENCE_S)
        raise


def _running(tasks: "Collection[ObjectRef]") -> "list[ObjectRef]":
    """Return the tasks that have not ended."""
    import ray

    if not tasks:
        return []
    _, running = ray.wait(list(tasks), num_returns=len(tasks), timeout=0, fetch_local=False)
    return list(running)


@contextmanager
def release_on_interrupt() -> Iterator[None]:
    """End the actors that a block has started if Ctrl+C interrupts it, and free their resources.

    An actor ends when nothing refers to it any more. A notebook keeps the traceback, and with it
    the variables of every function that was interrupted. Ray Tune keeps a reserved placement group,
    for which the next search would wait.
    """
    earlier = _placement_groups()
    try:
        yield
    except KeyboardInterrupt as interrupt:
        traceback.clear_frames(interrupt.__traceback__)
        gc.collect()
        for name in _placement_groups() - earlier:
            remove_placement_group(name)
        raise


def _placement_groups() -> set[str]:
    """Return the placement groups of this job that are not removed, as hexadecimal numbers."""
    import ray

    if not ray.is_initialized():
        return set()
    job = ray.get_runtime_context().get_job_id()
    groups = ray.util.placement_group_table()
    return {
        name for name, group in groups.items() if name.endswith(job) and group["state"] != "REMOVED"
    }
