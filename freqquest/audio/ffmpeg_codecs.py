"""Facts about FFmpeg's formats and decoders that it does not tell, and its samples as floats.

NumPy only.
Shapes: S samples, C channels.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av import AudioFrame

EXACT_AFTER_PREROLL = ("alac", "flac", "mp3", "mp3float", "opus", "pcm_", "tta", "wavpack")
"""Beginnings of decoders that may start in the middle.

The others are decoded from the start: AAC and AC-3 add noise from a generator that runs on, and
AMR never forgets.
"""

UNEVEN = ("vorbis", "wma")
"""Beginnings of decoders whose packets do not tell alone how many samples they give."""

OF_CONSTANT_SIZE = ("aac", "ac3", "eac3", "mp2", "mp3", "opus")
"""Beginnings of decoders whose packets give the same number of samples each."""

WITH_EXACT_LENGTH = ("mov", "asf", "avi", "caf", "flac", "tta", "w64", "wav", "wv")
"""Beginnings of FFmpeg's names of formats whose header has the length: it estimates the others."""


def as_float(frame: "AudioFrame") -> np.ndarray:
    """Return a frame as `[S, C]`, float32, full scale 1.0, with libsndfile's scale."""
    samples = frame.to_ndarray()
    num_channels = frame.layout.nb_channels
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, num_channels)
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return samples.astype(np.float32)
    full_scale = np.float32(2.0 ** (8 * samples.dtype.itemsize - 1))
    if samples.dtype.kind == "u":
        return samples.astype(np.float32) / full_scale - np.float32(1)
    return samples.astype(np.float32) / full_scale
