"""Events of a recording: from what was heard in its windows to sounds with a start and an end.

NumPy and SciPy; pure functions. Shapes: N windows, K classes, F frames.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from freqquest.cnn.model_card import ModelCard
from freqquest.detection.config import DEFAULT_CONFIDENCE, DetectConfig
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard
from freqquest.errors import UserError

EVENT_COLUMNS = ["path", "start_s", "end_s", "label", "confidence"]
"""Columns of a table of events; `path` is relative to the folder of the recordings."""

Event = tuple[str, float, float, str, float]
"""The values of a row of such a table."""

_Span = tuple[int, int, float]
"""Start and end in frames, and confidence."""

_BACKGROUND_PERCENTILE = 10
"""Share of the time, in percent, in which a recording is no louder than its background: acoustics
calls that level L90."""

_BACKGROUND_S = 600.0
"""Time over which the background is measured: day and night differ."""

SEARCH_SHARE = 3 / 8
"""Share of a window in which edges are moved, unless a setting says otherwise."""

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
    search_share: float = SEARCH_SHARE
    """Share of a window in which the largest change before or after an edge is searched."""


def event_settings(config: DetectConfig, card: ModelCard) -> EventSettings:
    """Return what makes an event.

    Raises:
        UserError: The model lacks the thresholds that the user wants.
    """
    thresholds = card.thresholds or [DEFAULT_CONFIDENCE] * len(card.classes)
    if config.min_confidence is not None:
        thresholds = [config.min_confidence] * len(card.classes)
    elif config.class_thresholds:
        if card.detection_thresholds is None:
            raise UserError(
                f"`class_thresholds` needs a model that has some, and `model={config.model}` is of "
                "an earlier freqquest: leave it out, or run tune_cnn again"
            )
        thresholds = card.detection_thresholds
    return EventSettings(
        labels=[None if label == card.background_label else label for label in card.classes],
        thresholds=np.array(thresholds),
        min_level_db=config.min_level,
        min_contrast_db=config.min_contrast,
        merge_gap_s=config.merge_gap,
        min_duration_s=config.min_duration,
    )


def find_events(
    path: str, duration_s: float, heard: Heard, grid: Grid, settings: EventSettings
) -> list[Event]:
    """Return the events of a recording, sorted by their start.

    An event is a run of frames whose score reaches the threshold. Its edges are then moved to the
    largest change of sound nearby.

    Args:
        path: Name of the recording.
        duration_s: Length of the recording.
        heard: All units of the recording.
        grid: Windows and frames.
        settings: What makes an event.
    """
    gap = settings.merge_gap_s / grid.frame_s
    radius = round(settings.search_share * grid.window_frames)
    events: list[Event] = []
    for label, threshold, scores in zip(
        settings.labels, settings.thresholds, score_frames(heard, grid, settings), strict=True
    ):
        if label is None:
            continue
        spans = _join(_spans(scores, threshold), gap)
        moved = [_move_edges(span, heard.changes, radius) for span in spans]
        for start, end, confidence in _join(moved, 0):
            start_s, end_s = start * grid.frame_s, min(end * grid.frame_s, duration_s)
            if end_s - start_s >= settings.min_duration_s:
                events.append((path, start_s, end_s, label, confidence))
    return sorted(events, key=lambda event: event[1:4])


def score_frames(heard: Heard, grid: Grid, settings: EventSettings) -> Iterator[np.ndarray]:
    """Yield the score of each class at each frame, `[F]`; -1 where it is not loud enough.

    It is the average of the windows' probabilities, weighted by how near their centers are (by a
    Hann window). Between windows that do not overlap, it is 0.
    """
    num_frames = len(heard.levels)
    starts = grid.starts(0, len(heard.probabilities))
    weights = np.hanning(grid.window_frames + 2)[1:-1]

    def spread(values: np.ndarray) -> np.ndarray:
        impulses = np.zeros(starts[-1] + 1)
        impulses[starts] = values
        sums = oaconvolve(impulses, weights)[:num_frames]
        return np.pad(sums, (0, num_frames - len(sums)))

    # The floor keeps rounding errors of the convolution from becoming scores.
    total = np.maximum(spread(np.ones(len(starts))), weights[0] / 2)
    is_loud = loud_frames(heard.levels, grid, settings)
    for of_class in heard.probabilities.T:
        scores = (spread(of_class) / total).clip(0, 1).round(_DECIMALS)
        yield np.where(is_loud, scores, -1)


def score_segments(
    heard: Heard, grid: Grid, settings: EventSettings, count: int, segment_s: float
) -> np.ndarray:
    """Return the largest score in segments of a recording, `[count, K]`, of classes with a label.

    Args:
        heard: All units of the recording.
        grid: Windows and frames.
        settings: What makes an event.
        count: Number of segments.
        segment_s: Length of a segment.
    """
    begins = np.floor(np.arange(count) * segment_s / grid.frame_s).astype(int)
    inside = np.minimum(begins, len(heard.levels) - 1)
    all_scores = zip(settings.labels, score_frames(heard, grid, settings), strict=True)
    largest = [
        np.maximum.reduceat(scores, inside) for label, scores in all_scores if label is not None
    ]
    return np.stack(largest, axis=1).clip(min=0)


def loud_frames(levels: np.ndarray, grid: Grid, settings: EventSettings) -> np.ndarray:
    """Return whether each frame `[F]` is loud enough.

    A recording that never stands out from its background is all background, or one sound: then only
    the level counts.
    """
    levels = levels.astype(np.float64)
    lowest = background_level(levels, grid.frame_s) + settings.min_contrast_db
    if (levels < lowest).all():
        lowest[:] = -np.inf
    is_loud: np.ndarray = levels >= np.maximum(lowest, settings.min_level_db)
    return is_loud


def background_level(levels: np.ndarray, frame_s: float) -> np.ndarray:
    """Return the level of the background at each frame `[F]`, in dB.

    It is the level that is exceeded nine tenths of the time, in the ten minutes around a moment.
    """
    half = round(_BACKGROUND_S / 2 / frame_s)
    centers = np.arange(half, max(half + 1, len(levels) - half // 2), half)
    quietest = [
        np.percentile(levels[max(0, center - half) : center + half], _BACKGROUND_PERCENTILE)
        for center in centers
    ]
    interpolated: np.ndarray = np.interp(np.arange(len(levels)), centers, quietest)
    return interpolated


def _spans(scores: np.ndarray, threshold: float) -> Iterator[_Span]:
    """Yield each run of frames whose score reaches the threshold."""
    edges = np.flatnonzero(np.diff((scores >= threshold).astype(np.int8), prepend=0, append=0))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield start, end, float(scores[start:end].max())


def _join(spans: Iterable[_Span], gap: float) -> Iterator[_Span]:
    """Join spans with at most a gap between them; the surest one's confidence is that of all."""
    joined: _Span | None = None
    for span in sorted(spans):
        if joined is not None and span[0] - joined[1] <= gap:
            joined = joined[0], max(joined[1], span[1]), max(joined[2], span[2])
            continue
        if joined is not None:
            yield joined
        joined = span
    if joined is not None:
        yield joined


def _move_edges(span: _Span, changes: np.ndarray, radius: int) -> _Span:
    """Move the edges to the largest changes within a radius, but not those of the recording.

    They stay on their sides of the span, so that the result overlaps it.
    """
    start, end, confidence = span
    onset = start and _largest(changes, max(0, start - radius), min(start + radius + 1, end))
    if end < len(changes):
        end = _largest(changes, max(onset + 1, start + 1, end - radius), end + radius + 1)
    return onset, end, confidence


def _largest(changes: np.ndarray, first: int, stop: int) -> int:
    return first + int(changes[first:stop].argmax())
