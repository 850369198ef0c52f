"""Progress of a step that runs in other processes, shown by the driver.

Workers put messages into a queue, which a Ray actor on the driver's node holds.
Light to import: Ray is loaded by the functions.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from freqquest.cluster import connection
from freqquest.progress import Progress

if TYPE_CHECKING:
    from ray.util.queue import Queue

_POST_INTERVAL_S = 0.5
"""Shortest time between two messages of a worker with the same note."""


class ProgressReporter:
    """Sends a worker's progress to the driver: twice a second at most, each new note at once."""

    def __init__(self, queue: "Queue | None") -> None:
        """Create a reporter; without a queue it is silent, as one of several workers reports."""
        self._queue = queue
        self._last_time, self._last_note = 0.0, ""

    def __call__(self, done: int, note: str = "") -> None:
        """Report how much is done."""
        is_due = note != self._last_note or time.monotonic() - self._last_time > _POST_INTERVAL_S
        if self._queue is not None and is_due:
            self._last_time, self._last_note = time.monotonic(), note
            self._queue.put((done, note))


@contextmanager
def remote_progress(description: str, total: int | None, unit: str) -> "Iterator[Queue]":
    """Show the messages of other processes until the block ends. Needs an initialized Ray.

    Yields:
        A queue for messages `(done, note)`, usually from a ProgressReporter. The first number is
        the work of an earlier run; time counts from then on. A message whose number is None only
        changes the note.
    """
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": connection.on_driver_node()})
    ended = threading.Event()
    with Progress(description, total, unit) as progress:
        thread = threading.Thread(target=_follow, args=(queue, progress, ended), daemon=True)
        thread.start()
        try:
            yield queue
        finally:
            ended.set()
            thread.join()
            queue.shutdown()
        if total is not None:
            progress.update_to(total)


def _follow(queue: "Queue", progress: Progress, ended: threading.Event) -> None:
    """Show messages until the step has ended and none is left."""
    from ray.exceptions import RayActorError
    from ray.util.queue import Empty

    has_begun = False
    with suppress(RayActorError):  # the queue's process was lost
        while not (ended.is_set() and queue.empty()):
            try:
                done, note = queue.get(timeout=1)
            except Empty:
                progress.update(0)  # shows the time that has passed
                continue
            if done is None:
                progress.update(0, note)
            else:
                (progress.update_to if has_begun else progress.begin_at)(done, note)
                has_begun = True
