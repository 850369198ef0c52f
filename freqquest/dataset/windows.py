"""Windows of long sounds: the parts of a file, or of an annotated sound, that become clips.

NumPy only; pure functions of lengths and levels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

WindowsKind = Literal["first", "all", "loudest"]

_SHORTEST_REST_S = 0.01
"""Shortest rest of a sound that gets a window of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowConfig:
    """Choice of the windows of a sound."""

    kind: WindowsKind = "first"
    """`first`: the beginning; `all`: the whole sound; `loudest`: the windows of highest power."""

    hop_s: float = 4.0
    """Step between the starts of two windows, in seconds."""

    max_per_file: int | None = None
    """Largest number of windows of a sound; None for no limit."""


def choose_windows(
    kind: WindowsKind, length_s: float, hop_s: float | None = None, max_per_file: int | None = None
) -> WindowConfig:
    """Return a choice of windows of a length, with the defaults resolved."""
    is_loudest = kind == "loudest"
    return WindowConfig(
        kind=kind,
        hop_s=hop_s or length_s / (4 if is_loudest else 1),
        max_per_file=max_per_file or (1 if is_loudest else None),
    )


def window_starts(
    config: WindowConfig,
    length_s: float,
    begin_s: float,
    end_s: float,
    levels: np.ndarray | None = None,
) -> list[float]:
    """Return the starts of a sound's windows in seconds, in order; at least one.

    Args:
        config: Choice of the windows.
        length_s: Length of a window.
        begin_s: Begin of the sound in its file.
        end_s: End of the sound in its file.
        levels: Mean power of each step of `hop_s` of the file, for the kind `loudest`.
    """
    if config.kind == "first":
        return [begin_s]
    starts = _grid(begin_s, end_s, length_s, config.hop_s)
    if config.kind == "all":
        starts = _spread(starts, config.max_per_file)
    else:
        assert levels is not None
        assert config.max_per_file is not None
        energies = _energies(starts, length_s, levels, config.hop_s)
        starts = _loudest(starts, energies, length_s, config.max_per_file)
    latest = np.floor(end_s * 1000 - 1) / 1000  # a start at the end would have no sound
    rounded: list[float] = np.minimum(starts.round(3), latest).clip(min=0).tolist()
    return rounded


def _grid(begin_s: float, end_s: float, length_s: float, hop_s: float) -> np.ndarray:
    """Return starts at steps of a hop; the last window ends with the sound."""
    last_s = max(begin_s, end_s - length_s)
    starts = np.arange(begin_s, last_s + _SHORTEST_REST_S, hop_s)
    return np.append(starts, last_s) if last_s - starts[-1] > _SHORTEST_REST_S else starts


def _spread(starts: np.ndarray, count: int | None) -> np.ndarray:
    """Return at most `count` of the starts, evenly spread."""
    if count is None or len(starts) <= count:
        return starts
    rows = np.linspace(0, len(starts) - 1, count).round().astype(int)
    return np.asarray(starts[rows])


def _energies(starts: np.ndarray, length_s: float, levels: np.ndarray, step_s: float) -> np.ndarray:
    """Return the energy of each window."""
    times = np.arange(len(levels) + 1) * step_s
    until = np.concatenate([[0.0], np.cumsum(levels, dtype=np.float64)])
    energies: np.ndarray = np.interp(starts + length_s, times, until) - np.interp(
        starts, times, until
    )
    return energies


def _loudest(starts: np.ndarray, energies: np.ndarray, length_s: float, count: int) -> np.ndarray:
    """Return at most `count` starts of highest energy, whose windows do not overlap."""
    kept: list[float] = []
    while len(kept) < count and np.isfinite(energies).any():
        start = starts[np.argmax(energies)]
        kept.append(start)
        overlaps = np.abs(starts - start) <= length_s - _SHORTEST_REST_S
        energies = np.where(overlaps, -np.inf, energies)
    return np.sort(kept)
