"""Turn a log-mel spectrogram back into sound.

torch and torchaudio, no Ray. Shapes: S samples, F FFT bins, M mel bands, T frames.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy.linalg import pinv
from torchaudio.functional import griffinlim

from freqquest.audio.spectrogram import SpectrogramConfig, mel_filter_bank

NUM_ITERATIONS = 32
MAX_PEAK = 0.98
"""Louder clips are turned down to this share of full scale, as WAV files would clip them."""


def invert(log_mel: np.ndarray, config: SpectrogramConfig, sample_rate_hz: int, seed: int = 0) -> np.ndarray:
    """A waveform whose log-mel spectrogram is close to the one given.

    The mel filters are undone by least squares, the phases found by Griffin-Lim: the recipe's way, but for the
    solver. torchaudio's InverseMelScale meets filters of rank 126 of 128 there and fails; the pseudo-inverse gives
    the solution of smallest norm, and is computed once.

    Args:
        log_mel: `[M, T]`, ln(1 + power).
        config: The analysis it came from, of compression `log1p`.
        sample_rate_hz: Of the waveform.
        seed: Of the phases that the search starts from.

    Returns:
        Waveform `[S]`, float32, finite, with a peak of at most MAX_PEAK.

    Raises:
        ValueError: The compression keeps no level, or the shape is wrong.

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984; with the momentum
    of Perraudin et al., "A fast Griffin-Lim algorithm", 2013.
    """
    if config.compression != "log1p":
        raise ValueError(f"compression={config.compression} loses the level: only log1p spectrograms can be heard")
    if log_mel.ndim != 2 or log_mel.shape[0] != config.num_mels:
        raise ValueError(f"spectrogram of shape {log_mel.shape}: expected [{config.num_mels}, T]")
    mel_power = np.expm1(np.clip(log_mel, 0, _MAX_LOG_POWER)).astype(np.float32)
    power = np.maximum(_inverse_filters(config, sample_rate_hz) @ mel_power, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        waveform = griffinlim(
            torch.from_numpy(power),
            window=torch.hann_window(config.n_fft),
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            win_length=config.n_fft,
            power=2.0,
            n_iter=NUM_ITERATIONS,
            momentum=0.99,
            length=None,
            rand_init=True,
        ).numpy()
    peak = float(np.abs(waveform).max())
    return waveform * (MAX_PEAK / peak) if peak > MAX_PEAK else waveform


_MAX_LOG_POWER = 20.0
"""Far above what full-scale sound reaches; keeps an untrained generator's values finite."""


@lru_cache(maxsize=4)
def _inverse_filters(config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Pseudo-inverse `[F, M]` of the mel filters."""
    inverse: np.ndarray = pinv(mel_filter_bank(config, sample_rate_hz).astype(np.float64)).astype(np.float32)
    return inverse
