"""Properties of the frames of a recording: level, change of sound, and columns of its picture.

NumPy only; pure functions. Shapes: S samples, M mel bands, F frames, C columns, H bands of a
picture.
"""

import math

import numpy as np

_CONTEXT_S = 0.5
"""Time before and after a frame whose sounds are compared."""

_CHANGE_BANDS, _PICTURE_BANDS = 32, 64
"""Most bands that a change is measured in, and that a picture has."""

_SMALLEST_POWER = 1e-10

MAX_COLUMNS = 2_000
"""Most columns of a recording's picture, give or take one."""

_COLUMNS_PER_S = 16
"""Most columns of a second."""

_RANGE_DB = 80.0
"""Range of a picture's colors."""


def context_frames(frame_s: float) -> int:
    """Return the frames on each side of a frame that `changes` compares."""
    return max(1, round(_CONTEXT_S / frame_s))


def levels(waveform: np.ndarray, frames: range, hop_length: int, n_fft: int) -> np.ndarray:
    """Return the level of each frame in dB relative to full scale, `[F]`.

    Args:
        waveform: `[S]`, with sample 0 at the center of frame 0.
        frames: Frames to measure.
        hop_length: Step between frames, in samples.
        n_fft: Length of a frame, in samples; beyond the waveform, it is silent.
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    first = np.arange(frames.start, frames.stop) * hop_length - n_fft // 2
    begin, end = (np.clip(edge, 0, waveform.shape[0]) for edge in (first, first + n_fft))
    return _decibel((energy[end] - energy[begin]) / n_fft)


def changes(power: np.ndarray, frames: range, context: int) -> np.ndarray:
    """Return the change of sound at each frame in dB, `[F]`: the novelty of segmentation.

    It is the root mean square difference, over the bands, between the mean levels of the frames
    before it and from it on. Source: Foote, 2000, "Automatic audio segmentation using a measure of
    audio novelty", with means instead of a similarity matrix.

    Args:
        power: Mel power of all frames that are known, `[M, F]`.
        frames: Frames to measure.
        context: Frames on each side that are compared; fewer at the ends of `power`.
    """
    decibel = _decibel(_fewer_bands(power, _CHANGE_BANDS, np.add)).astype(np.float64)
    sums = np.pad(np.cumsum(decibel, axis=1), ((0, 0), (1, 0)))
    here = np.arange(frames.start, frames.stop)
    before, after = np.maximum(here - context, 0), np.minimum(here + context, power.shape[1])
    means_before = (sums[:, here] - sums[:, before]) / np.maximum(here - before, 1)
    means_after = (sums[:, after] - sums[:, here]) / np.maximum(after - here, 1)
    distance = np.sqrt(np.square(means_after - means_before).mean(axis=0))
    return np.where((here > before) & (after > here), distance, 0.0)


def frames_per_column(num_frames: int, frame_s: float) -> int:
    """Return the frames of each column of the picture of a recording."""
    return max(-(-num_frames // MAX_COLUMNS), math.ceil(1 / (_COLUMNS_PER_S * frame_s)))


def columns(power: np.ndarray, first: int, frames_per_column: int) -> np.ndarray:
    """Return the loudest power of each column of a picture in dB, `[H, C]`.

    Args:
        power: Mel power of some frames, `[M, F]`.
        first: Number of the first of them; columns begin at multiples of `frames_per_column`.
        frames_per_column: Frames in a column. The first and the last one may have fewer.
    """
    numbers = np.arange(first, first + power.shape[1]) // frames_per_column
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    bands = _fewer_bands(power, _PICTURE_BANDS, np.maximum)
    return _decibel(np.maximum.reduceat(bands, begins, axis=1))


def with_floor(columns: np.ndarray) -> np.ndarray:
    """Return a picture's levels as float32, at most _RANGE_DB below the highest."""
    levels = columns.astype(np.float32)
    floored: np.ndarray = np.maximum(levels, levels.max() - _RANGE_DB)
    return floored


def _fewer_bands(power: np.ndarray, most: int, join: np.ufunc) -> np.ndarray:
    """Join neighboring bands of `[M, F]`, so that there are at most that many."""
    step = -(-power.shape[0] // most)
    joined: np.ndarray = join.reduceat(power, np.arange(0, power.shape[0], step), axis=0)
    return joined


def _decibel(power: np.ndarray) -> np.ndarray:
    decibel: np.ndarray = 10 * np.log10(np.maximum(power, _SMALLEST_POWER))
    return decibel
