"""Progress of a long step: a bar in a terminal, now and then a plain line in a log."""

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

if TYPE_CHECKING:
    pass

_LOG_INTERVAL_S = 10.0
"""Time between two lines in a log."""


class Progress:
    """Shows how far a step is, how fast, and how long it will take.

    Use as a context manager; what is shown goes to standard error. Without a total, only what is done is shown.
    """

    def __init__(self, description: str, total: int | None, unit: str) -> None:
        self._in_terminal = sys.stderr.isatty() and _num_columns() > 0
        self._bar = tqdm(
            desc=description,
            total=total,
            unit=f" {unit}",
            disable=not self._in_terminal,
            dynamic_ncols=True,
        )
        self._description, self._total, self._unit = description, total, unit
        self._done, self._done_before, self._note = 0, 0, ""
        self._started = self._last_line = time.monotonic()
        if not self._in_terminal and total:
            self._print_line()

    def update(self, count: int, note: str = "") -> None:
        """Count more as done; `note` is shown behind the figures."""
        is_news = not count or note not in ("", self._note)
        self._done += count
        self._note = note or self._note
        if self._in_terminal:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(count)
            if is_news:  # tqdm shows only what was counted, and not each of it
                self._bar.refresh()
        elif time.monotonic() - self._last_line >= _LOG_INTERVAL_S:
            self._print_line()

    def update_to(self, done: int, note: str = "") -> None:
        """Set how much is done."""
        self.update(done - self._done, note)

    def begin_at(self, done: int, note: str = "") -> None:
        """Count time from now on, and as done what an earlier run did, which tells nothing of the speed."""
        self._done_before = self._done = done
        self._note = note
        self._started = time.monotonic()
        if self._in_terminal:
            self._bar.reset()
            self._bar.initial = self._bar.n = self._bar.last_print_n = done
            self._bar.set_postfix_str(note)
        elif done:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        line = tqdm.format_meter(
            self._done,
            self._total,
            self._last_line - self._started,
            ncols=0,
            initial=self._done_before,
            prefix=self._description,
            unit=f" {self._unit}",
            postfix=self._note,
        )
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Show the last state and leave the line."""
        self._bar.close()
        if not self._in_terminal and self._done:
            self._print_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _num_columns() -> int:
    """Of the terminal; some have none, as a container's to which nobody is attached."""
    return os.get_terminal_size(sys.stderr.fileno()).columns
