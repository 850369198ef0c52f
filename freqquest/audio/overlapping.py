"""Log-mel spectrograms of overlapping windows, which share the frames that they have in common.

NumPy and SciPy only. Shapes: N windows, S samples, M mel bands, T frames of a window, F frames.
"""

import dataclasses
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from freqquest.audio.spectrogram import SpectrogramConfig, centered_frames, compress, mel_power

_WINDOWS_AT_ONCE = 16
"""Windows whose padded waveforms are in memory together."""


def frame_power(waveform: np.ndarray, config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Return the mel power `[M, F]` of all frames of a waveform, with silence beyond both ends."""
    num_frames = 1 + waveform.shape[0] // config.hop_length
    whole = dataclasses.replace(config, num_frames=num_frames, padding="constant")
    return mel_power(centered_frames(waveform, whole), whole, sample_rate_hz)


def window_log_mels(
    waveform: np.ndarray,
    power: np.ndarray,
    starts: np.ndarray,
    num_samples: int,
    config: SpectrogramConfig,
    sample_rate_hz: int,
) -> np.ndarray:
    """Return what `log_mel` returns for each window, without analyzing its inner frames again.

    Only the frames at both ends of a window, which hold padding, are its own.

    Args:
        waveform: `[S]`, float32, mono, at least as long as the last window reaches.
        power: Result of `frame_power` for the waveform, `[M, F]`.
        starts: Starts of the windows `[N]` in the waveform, in frames.
        num_samples: Length of a window, in samples.
        config: Settings of the analysis.
        sample_rate_hz: Sample rate of the waveform.

    Returns:
        `[N, M, T]`, float32.
    """
    spectrograms = np.zeros((len(starts), config.num_mels, config.num_frames), np.float32)
    inner = _inner_frames(num_samples, config)
    for start, spectrogram in zip(starts, spectrograms, strict=True):
        shared = power[:, start + inner.start : start + inner.stop]
        spectrogram[:, inner.start : inner.stop] = shared
    for begin in range(0, len(starts), _WINDOWS_AT_ONCE):
        some = slice(begin, begin + _WINDOWS_AT_ONCE)
        windows = sliding_window_view(waveform, num_samples)[starts[some] * config.hop_length]
        _fill_edges(spectrograms[some], windows, inner, config, sample_rate_hz)
    for spectrogram in spectrograms[:, :, : config.filled_frames(num_samples)]:
        compress(spectrogram, config)
    return spectrograms


def _inner_frames(num_samples: int, config: SpectrogramConfig) -> range:
    """Return the frames of a window that hold no padding."""
    half = config.n_fft // 2
    first = math.ceil(half / config.hop_length)
    last = (num_samples - (config.n_fft - half)) // config.hop_length
    return range(first, max(first, min(last + 1, config.num_frames)))


def _fill_edges(
    power: np.ndarray,
    windows: np.ndarray,
    inner: range,
    config: SpectrogramConfig,
    sample_rate_hz: int,
) -> None:
    """Fill the outer frames of windows `[N, S]` into their power `[N, M, T]`."""
    frames = centered_frames(windows, config)
    outer = np.setdiff1d(np.arange(frames.shape[1]), inner)
    flat = frames[:, outer].reshape(-1, config.n_fft)
    of_outer = mel_power(flat, config, sample_rate_hz)
    power[:, :, outer] = of_outer.reshape(config.num_mels, len(windows), -1).swapaxes(0, 1)
