"""Facts about FFmpeg's formats and decoders that it does not tell, and its samples as floats.

NumPy only.
Shapes: S samples, C channels.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av import AudioFrame

_FORGETFUL = (
    *("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus", "pcm_", "tta", "wavpack"),
)
"""Beginnings of decoders that soon forget what came before. AMR never does."""

_FORGETFUL_AAC = (None, "LC", "HE-AAC", "HE-AACv2")
"""Profiles of AAC that do not predict sound from sound long before."""

UNEVEN = ("vorbis", "wma")
"""Beginnings of decoders whose packets do not tell alone how many samples they give."""

OF_CONSTANT_SIZE = ("aac", "ac3", "eac3", "mp2", "mp3", "opus")
"""Beginnings of decoders whose packets give the same number of samples each."""

WITH_EXACT_LENGTH = ("mov", "asf", "avi", "caf", "flac", "tta", "w64", "wav", "wv")
"""Beginnings of FFmpeg's names of formats whose header has the length: it estimates the others."""


def may_start_within(codec: str, profile: str | None) -> bool:
    """Return whether a decoder may start within a file, if it starts a little early.

    The samples are the same but for the last bit of MP2, and the noise that AAC and AC-3 decoders
    fill in where the encoder left it out: it has other random numbers and the same loudness. With
    FFmpeg's AAC encoder at 71 kbit/s, log-mel spectrograms of real clips differ by 0.13 dB (RMS);
    the encoder changes 0.94 dB.
    """
    if codec.startswith("aac") and profile not in _FORGETFUL_AAC:
        return False
    return codec.startswith(_FORGETFUL)


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
