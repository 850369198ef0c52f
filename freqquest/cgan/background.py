"""Work that a thread does in order, while its caller goes on. No Ray, no torch."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self


class Background:
    """A thread that does pieces of work one after the other, up to the first error.

    ```python
    with Background() as background:
        background.wait("judgment")  # at most one holds its clips in memory
        background.submit(judge, "judgment")
        train()
        background.wait()  # raises what `judge` raised
    ```
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
        self._waiting: deque[tuple[str, Future[None]]] = deque()
        self._num_submitted, self._num_ended = 0, 0
        self._has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish all work; raise its error unless there is one already."""
        try:
            if kind is None:
                self.wait()
        finally:
            self._thread.shutdown()

    def submit(self, work: Callable[[], None], kind: str) -> None:
        """Do some work after all that was submitted before."""
        self._num_submitted += 1
        self._waiting.append((kind, self._thread.submit(self._do, work)))

    def has(self, kind: str) -> bool:
        """Return whether work of this kind is not done yet; raise the error of work that failed."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()[1].result()
        return kind in (waiting for waiting, _ in self._waiting)

    def wait(self, kind: str | None = None, at_most: int = 0) -> None:
        """Wait until at most this much work of a kind (default: of any) is not done yet.

        Raises:
            Exception: Work failed.
        """
        while sum(kind in (None, waiting) for waiting, _ in self._waiting) > at_most:
            self._waiting.popleft()[1].result()

    def is_behind(self) -> bool:
        """Return whether more was submitted than the piece of work that calls this."""
        return self._num_submitted - self._num_ended > 1

    def _do(self, work: Callable[[], None]) -> None:
        try:
            if not self._has_failed:
                work()
        except BaseException:
            self._has_failed = True
            raise
        finally:
            self._num_ended += 1
