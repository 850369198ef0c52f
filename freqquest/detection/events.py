"""Events of a recording: from what was heard in its windows to sounds with a start and an end.

NumPy, SciPy and pandas; pure functions. Shapes: N windows, K classes, F frames.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import oaconvolve

from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard

EVENT_COLUMNS = ["path", "start_s", "end_s", "label", "confidence"]
"""Columns of a table of events; `path` is relative to the folder of the recordings."""

_BACKGROUND_PERCENTILE = 10
"""Share of the time, in percent, in which a recording is no louder than its background: acoustics
calls that level L90."""

_DECIMALS = 4
"""Decimals of a confidence, and of the scores that are compared with a threshold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSettings:
    """Settings that make events of probabilities."""

    labels: Sequence[str | None]
    """Label of each class `[K]`; None for a class that is never an event."""
    thresholds: np.ndarray
    """Score `[K]` from which a class is heard."""
    min_level_db: float
    """Level of a frame below which nothing is heard, relative to full scale."""
    min_contrast_db: float
    """The same relative to the background of the recording."""
    merge_gap_s: float
    """Longest gap between two events of a class that become one."""
    min_duration_s: float
    """Shortest event."""
    search_share: float = 3 / 8
    """Share of a window in which the largest change before or after an edge is searched."""


def find_events(
    path: str, scores: np.ndarray, changes: np.ndarray, grid: Grid, settings: EventSettings
) -> pd.DataFrame:
    """Return the events of a recording, a table with EVENT_COLUMNS, sorted by start and label.

    An event is a run of frames whose score reaches the threshold. Its edges are then moved to the
    largest change of sound nearby.

    Args:
        path: Name of the recording.
        scores: Result of `score_frames`, `[K, F]`.
        changes: Change of sound at each frame in dB, `[F]`.
        grid: Windows and frames.
        settings: What makes an event.
    """
    gap = settings.merge_gap_s / grid.frame_s
    radius = round(settings.search_share * grid.window_frames)
    rows = []
    for label, threshold, of_class in zip(
        settings.labels, settings.thresholds, scores, strict=True
    ):
        if label is None:
            continue
        runs = _merge(_runs(of_class >= threshold), gap)
        for start, end in _merge(_refine(runs, changes, radius), 0):
            start_s, end_s = start * grid.frame_s, end * grid.frame_s
            if end_s - start_s >= settings.min_duration_s:
                rows.append((path, start_s, end_s, label, float(of_class[start:end].max())))
    return pd.DataFrame(rows, columns=EVENT_COLUMNS).sort_values(
        ["start_s", "end_s", "label"], ignore_index=True
    )


def join_events(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the events of several recordings as one table, which may be empty."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=EVENT_COLUMNS)


def score_frames(heard: Heard, grid: Grid, settings: EventSettings) -> np.ndarray:
    """Return the score of each class at each frame, `[K, F]`; -1 where it is not loud enough.

    It is the average of the windows' probabilities, weighted by how near their centers are (by a
    Hann window). Between windows that do not overlap, it is 0.
    """
    num_frames = len(heard.levels)
    starts = grid.starts(0, len(heard.probabilities))
    weights = np.hanning(grid.window_frames + 2)[1:-1]
    impulses = np.zeros((heard.probabilities.shape[1] + 1, starts[-1] + 1))
    impulses[:-1, starts] = heard.probabilities.T
    impulses[-1, starts] = 1
    sums = oaconvolve(impulses, weights[None], axes=1)[:, :num_frames]
    sums = np.pad(sums, ((0, 0), (0, num_frames - sums.shape[1])))
    # The floor keeps rounding errors of the convolution from becoming scores.
    scores = sums[:-1] / np.maximum(sums[-1], weights[0] / 2)
    is_loud = loud_frames(heard.levels, settings)
    return np.where(is_loud, scores.clip(0, 1).round(_DECIMALS), -1)


def score_segments(scores: np.ndarray, grid: Grid, count: int, segment_s: float) -> np.ndarray:
    """Return the largest score of each class in segments of a recording, `[count, K]`."""
    begins = np.floor(np.arange(count) * segment_s / grid.frame_s).astype(int)
    inside = np.minimum(begins, scores.shape[1] - 1)
    largest: np.ndarray = np.maximum.reduceat(scores, inside, axis=1).T
    return largest.clip(min=0)


def loud_frames(levels: np.ndarray, settings: EventSettings) -> np.ndarray:
    """Return whether each frame `[F]` is loud enough.

    A recording that never stands out from its background is all background, or one sound: then only
    the level counts.
    """
    levels = levels.astype(np.float64)
    lowest = np.percentile(levels, _BACKGROUND_PERCENTILE) + settings.min_contrast_db
    if levels.max() < lowest:
        lowest = -np.inf
    is_loud: np.ndarray = levels >= max(lowest, settings.min_level_db)
    return is_loud


def _runs(is_active: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each run of true values."""
    edges = np.flatnonzero(np.diff(is_active.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _merge(runs: Iterator[tuple[int, int]], gap: float) -> Iterator[tuple[int, int]]:
    """Join runs, sorted by their start, with at most a gap between them."""
    joined: tuple[int, int] | None = None
    for start, end in itertools.chain(runs, [(-1, -1)]):
        if joined is not None and start >= 0 and start - joined[1] <= gap:
            joined = joined[0], max(joined[1], end)
            continue
        if joined is not None:
            yield joined
        joined = start, end


def _refine(
    runs: Iterator[tuple[int, int]], changes: np.ndarray, radius: int
) -> Iterator[tuple[int, int]]:
    """Move the edges of runs to the largest change within a radius; not those of the recording."""
    num_frames = len(changes)
    for start, end in runs:
        onset = start and _largest(changes, start, radius)
        offset = end if end == num_frames else _largest(changes, end, radius)
        yield (onset, offset) if onset < offset else (start, end)


def _largest(changes: np.ndarray, frame: int, radius: int) -> int:
    first = max(0, frame - radius)
    return first + int(changes[first : frame + radius + 1].argmax())
