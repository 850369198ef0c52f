"""Progress of a long step: a bar in a terminal, an occasional plain line in a log."""

import os
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_LOG_INTERVAL_S = 10.0
"""Time between two lines in a log, in seconds."""


class _Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    """A bar whose units stand apart from numbers (3 clips/s) but not from seconds (9s/clips)."""

    @staticmethod
    def format_meter(*args: object, **kwargs: object) -> str:
        """Return the bar as text."""
        return str(tqdm.format_meter(*args, **kwargs)).replace("s/ ", "s/")


class Progress:
    """Progress, speed and remaining time of a step, on standard error.

    Without a total, only the count is shown.

    Example:
        with Progress("preprocess", total=100, unit="clips") as progress:
            progress.update(10)
    """

    def __init__(self, description: str, total: int | None, unit: str) -> None:
        self._in_terminal = sys.stderr.isatty() and _num_columns() > 0
        self._bar = _Bar(
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
        """Add to the count; show `note`, or else the last one, after the numbers."""
        must_refresh = not count or note not in ("", self._note)
        self._done += count
        self._note = note or self._note
        if self._in_terminal:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(count)
            if must_refresh:  # tqdm draws only when it counts, and not every time
                self._bar.refresh()
        elif time.monotonic() - self._last_line >= _LOG_INTERVAL_S:
            self._print_line()

    def update_to(self, done: int, note: str = "") -> None:
        """Set the count."""
        self.update(done - self._done, note)

    def begin_at(self, done: int, note: str = "") -> None:
        """Start the clock now, at an earlier run's count, which does not enter the speed."""
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
        line = _Bar.format_meter(
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
        """Show the final state and end the line."""
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
    """Return the terminal's width; it is 0 in a container with nobody attached."""
    return os.get_terminal_size(sys.stderr.fileno()).columns
