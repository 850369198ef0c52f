"""Waveforms of clips: channels mixed, resampled, and of one length. NumPy and soxr.

Shapes: S samples, C channels.
"""

import math

import numpy as np
import soxr

from freqquest.audio.clip import ClipConfig
from freqquest.audio.unreadable import UnreadableClipError

_MAX_PEAK = 1e10
"""Largest sample accepted: far above integer scale in a float file (2^31), and far below the
overflow of a power spectrum in float32.
"""

RESAMPLING_MARGIN_S = 0.05
"""Audio read beyond both ends of a clip, so that the resampler's edges are cut off."""

_SILENT = "silent: every sample is equal"


def fit_waveform(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Resample a mono waveform `[S]` to the configured rate, and pad or cut it to the length."""
    if sample_rate_hz != config.sample_rate_hz:
        last = int((config.duration_s + RESAMPLING_MARGIN_S) * sample_rate_hz) + 1
        waveform = resample(waveform[:last], sample_rate_hz, config)
    return fit_length(waveform, config.num_samples)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Pad a waveform `[S]` with silence at the end, or cut it (a view), to `num_samples`."""
    if waveform.shape[0] >= num_samples:
        return waveform[:num_samples]
    padded = np.zeros(num_samples, waveform.dtype)
    padded[: waveform.shape[0]] = waveform
    return padded


def resample(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Resample a mono waveform `[S]` to the configured rate."""
    resampled: np.ndarray = soxr.resample(
        waveform, sample_rate_hz, config.sample_rate_hz, quality="HQ"
    )
    return resampled


def mix(samples: np.ndarray) -> np.ndarray:
    """Average the channels: `[S, C]` to `[S]`."""
    peak = max(samples.max(), -samples.min())  # NaN survives both
    if not peak <= _MAX_PEAK:
        reason = (
            f"samples up to {peak:.0e}; full scale is 1"
            if np.isfinite(peak)
            else "NaN or infinite samples"
        )
        raise UnreadableClipError(reason)
    num_channels = samples.shape[1]
    if num_channels == 1:
        return samples[:, 0]
    return samples @ np.full(num_channels, 1 / num_channels, np.float32)


def oddity(samples: np.ndarray, mono: np.ndarray) -> str:
    """Return a warning of silence, or of channels that cancel when they are mixed."""
    # Two samples tell most sounds from silence, in no time.
    if mono[0] == mono[-1] and (samples == samples[0]).all():
        return _SILENT
    num_channels = samples.shape[1]
    if num_channels == 1:
        return ""
    loudest, mixed = samples.var(axis=0).max(), mono.var()
    # A channel alone, the others silent, is 1 / C as loud in the mix.
    if mixed >= loudest / (10 * num_channels**2):
        return ""
    difference_db = 10 * math.log10(loudest / max(mixed, loudest * 1e-10))
    return f"its channels cancel: the mix is {difference_db:.0f} dB quieter than the louder channel"
