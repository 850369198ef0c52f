"""TODO: say what this module is for."""

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
"""Time between two messages of a worker."""


class ProgressReporter:
    """Tells the driver from another process how much is done: twice a second at most, but each new note at once."""

    def __init__(self, queue: "Queue | None") -> None:
        """Without a queue, nothing is told: one of several workers speaks for all."""
        self._queue = queue
        self._last, self._last_note = 0.0, ""

    def __call__(self, done: int, note: str = "") -> None:
        is_due = note != self._last_note or time.monotonic() - self._last > _POST_INTERVAL_S
        if self._queue is not None and is_due:
            self._last, self._last_note = time.monotonic(), note
            self._queue.put((done, note))


@contextmanager
def remote_progress(description: str, total: int | None, unit: str) -> "Iterator[Queue]":
    """A queue for Posters in other processes, whose messages are shown here until the block ends. Needs Ray.

    The first number says what was done before; time counts from then on. A message without one is a note alone.
    """
    from ray.exceptions import RayActorError
    from ray.util.queue import Empty, Queue

    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": connection.on_driver_node()})
    ended = threading.Event()
    with Progress(description, total, unit) as progress:

        def follow() -> None:
            has_begun = False
            with suppress(RayActorError):  # its process was lost
                while not (ended.is_set() and queue.empty()):
                    try:
                        message = queue.get(timeout=1)
                    except Empty:
                        progress.update(0)  # time goes on
                        continue
                    done, note = message
                    if done is None:
                        progress.update(0, note)
                    else:
                        (progress.update_to if has_begun else progress.begin_at)(done, note)
                        has_begun = True

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield queue
        finally:
            ended.set()
            thread.join()
            queue.shutdown()
        if total is not None:
            progress.update_to(total)
