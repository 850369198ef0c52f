"""Pairs of detected and annotated events of one class in one recording.

NumPy and mir_eval; no Ray, no pandas. Shapes: E events, R references.
"""

from collections.abc import Iterator

import numpy as np
from mir_eval.transcription import match_notes

_ROUNDING_S = 1e-4
"""mir_eval rounds the differences of times to four decimals."""


def count_pairs(
    events: np.ndarray, references: np.ndarray, collar_s: float, offset_share: float | None
) -> int:
    """Return the largest number of pairs of an event and a reference, each in one pair at most.

    The onsets of a pair differ by at most the collar. Its offsets differ by at most the collar or
    `offset_share` of the reference's length, whichever is larger.

    Args:
        events: Onsets and offsets `[E, 2]` of detected events in seconds, in any order.
        references: Onsets and offsets `[R, 2]` of annotated events, of which none is empty.
        collar_s: Tolerance of onsets, and the smallest of offsets, in seconds.
        offset_share: Tolerance of offsets as a share of the reference's length; None if offsets do
            not count.
    """
    # A share of a length is no round number: 0.2 * 0.7 is less than 0.14.
    share = None if offset_share is None else offset_share * (1 + 1e-9)
    num_pairs = 0
    for of_events, of_references in _groups(events, references, collar_s):
        pairs = match_notes(
            of_references,
            np.ones(len(of_references)),  # equal pitches
            of_events,
            np.ones(len(of_events)),
            onset_tolerance=collar_s,
            offset_ratio=share,
            offset_min_tolerance=collar_s,
        )
        num_pairs += len(pairs)
    return num_pairs


def _groups(
    events: np.ndarray, references: np.ndarray, collar_s: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield times that may be pairs, divided where onsets are further apart than the collar.

    A long recording has many events, and the matching compares all of a group with each other.
    """
    onsets = np.sort(np.concatenate([events[:, 0], references[:, 0]]))
    first_onsets = onsets[1:][np.diff(onsets) > collar_s + _ROUNDING_S]
    for of_events, of_references in zip(
        _split(events, first_onsets), _split(references, first_onsets), strict=True
    ):
        if len(of_events) and len(of_references):
            yield of_events, of_references


def _split(times: np.ndarray, first_onsets: np.ndarray) -> list[np.ndarray]:
    """Return times `[E, 2]`, sorted and divided before the first onset of each group."""
    times = times[np.lexsort((times[:, 1], times[:, 0]))]
    return np.split(times, np.searchsorted(times[:, 0], first_onsets))
