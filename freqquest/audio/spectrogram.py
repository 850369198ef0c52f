"""Turn a waveform into a log-mel spectrogram.

NumPy and SciPy only, so that neither TensorFlow nor torch is loaded where clips are prepared. SciPy's real FFT keeps
float32; on one thread it was faster than NumPy's and torch's for both views.
Shapes: S samples, F FFT bins, M mel bands, T frames.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_array

_SAMPLES_AT_ONCE = 2**17
"""Samples of frames that are analyzed together. Their arrays stay in the processor's cache, and in memory that the
process has already: with all frames at once, fresh memory pages took longer than the arithmetic.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrogramConfig:
    """How a waveform becomes an image. Saved in every dataset's manifest and with every model."""

    n_fft: int = 2048
    """Analysis window (periodic Hann), in samples."""

    hop_length: int = 512
    """Step between frames, in samples."""

    num_mels: int = 128
    """Mel bands between 0 Hz and half the sample rate."""

    num_frames: int = 173
    """Frames kept: longer spectrograms are cut, shorter ones padded with zeros."""

    mel_scale: Literal["slaney", "htk"] = "slaney"
    """`slaney` with area-normalized filters (librosa's default), `htk` with unit peaks (torchaudio's)."""

    padding: Literal["constant", "reflect"] = "constant"
    """How the waveform is continued by half a window at both ends, so that frames are centered."""

    compression: Literal["decibel", "log1p"] = "decibel"
    """`decibel`: power in dB below the clip's own maximum; `log1p`: ln(1 + power), which keeps the level."""

    top_db: float = 80.0
    """Floor of the `decibel` compression, in dB below the maximum."""

    def __post_init__(self) -> None:
        if not 0 < self.hop_length <= self.n_fft:
            raise ValueError(
                f"hop_length={self.hop_length} must be between 1 and n_fft={self.n_fft}: "
                "a longer hop would skip audio between frames"
            )
        for name in ("num_mels", "num_frames", "top_db"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")


CNN_VIEW = SpectrogramConfig()
"""Recipe 1's view: librosa's melspectrogram and power_to_db(ref=max)."""

CGAN_VIEW = SpectrogramConfig(
    n_fft=1024,
    hop_length=256,
    num_frames=512,
    mel_scale="htk",
    padding="reflect",
    compression="log1p",
)
"""Recipe 2's view: torchaudio's MelSpectrogram and log1p."""


@lru_cache(maxsize=8)
def mel_filter_bank(config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Triangular mel filters `[M, F]`, float32, as librosa's: loading that took a worker longer than 200 clips.

    Source: the Slaney scale of the Auditory Toolbox (1998), or that of the HTK book (1995).
    """
    to_mel, to_hz = (
        (_slaney_mel, _slaney_hz) if config.mel_scale == "slaney" else (_htk_mel, _htk_hz)
    )
    nyquist_hz = sample_rate_hz / 2
    bins_hz = np.linspace(0, nyquist_hz, config.n_fft // 2 + 1)
    edges_hz = to_hz(np.linspace(0, to_mel(nyquist_hz), config.num_mels + 2))[:, None]
    widths_hz = np.diff(edges_hz, axis=0)
    rising, falling = (
        (bins_hz - edges_hz[:-2]) / widths_hz[:-1],
        (edges_hz[2:] - bins_hz) / widths_hz[1:],
    )
    filters = np.maximum(0, np.minimum(rising, falling))
    if config.mel_scale == "slaney":
        filters *= 2 / (edges_hz[2:] - edges_hz[:-2])  # equal areas
    return filters.astype(np.float32)


def _htk_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _htk_hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _slaney_mel(hz: float) -> float:
    """Linear up to 1000 Hz (15 mel), logarithmic above: 27 mel for a factor of 6.4."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@lru_cache(maxsize=8)
def _sparse_mel_filter_bank(config: SpectrogramConfig, sample_rate_hz: int) -> csr_array:
    """The same filters: of 128, at most two overlap, so 98 % of the matrix is zeros."""
    return csr_array(mel_filter_bank(config, sample_rate_hz))


def log_mel(waveform: np.ndarray, config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Log-mel spectrogram of a waveform.

    Args:
        waveform: `[S]`, float32, mono, full scale 1.0, at least half a window long.
        config: The analysis.
        sample_rate_hz: The waveform's rate.

    Returns:
        `[M, T]`, float32: dB between `-top_db` and 0, or ln(1 + power) from 0 up.

    Raises:
        ValueError: The waveform is not mono.
    """
    if waveform.ndim != 1:
        raise ValueError(
            f"waveform of shape {waveform.shape} is not mono: expected [S]; average its channels first"
        )
    mel_power = _mel_power(waveform, config, _sparse_mel_filter_bank(config, sample_rate_hz))
    compressed = (
        _to_decibel(mel_power, config.top_db)
        if config.compression == "decibel"
        else np.log1p(mel_power)
    )
    return np.pad(compressed, ((0, 0), (0, config.num_frames - compressed.shape[1])))


def _mel_power(waveform: np.ndarray, config: SpectrogramConfig, filters: csr_array) -> np.ndarray:
    """Power in each mel band `[M, T]` of centered, windowed frames, at most `num_frames` of them."""
    padded = np.pad(waveform, config.n_fft // 2, mode=config.padding)
    frames = sliding_window_view(padded, config.n_fft)[:: config.hop_length][: config.num_frames]
    window = _hann(config.n_fft)
    mel_power = np.empty((config.num_mels, len(frames)), np.float32)
    step = max(1, _SAMPLES_AT_ONCE // config.n_fft)
    for start in range(0, len(frames), step):
        spectrum = scipy.fft.rfft(frames[start : start + step] * window, axis=-1)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        mel_power[:, start : start + len(power)] = filters @ np.ascontiguousarray(power.T)
    return mel_power


@lru_cache(maxsize=8)
def _hann(num_samples: int) -> np.ndarray:
    """Periodic Hann window `[S]`, float32."""
    return np.hanning(num_samples + 1)[:-1].astype(np.float32)


def _to_decibel(power: np.ndarray, top_db: float) -> np.ndarray:
    """Power `[M, T]` in dB below its own maximum, floored at `-top_db`; digital silence is 0 dB throughout."""
    smallest = 1e-10
    decibel = 10.0 * np.log10(np.maximum(power, smallest) / max(float(power.max()), smallest))
    return np.maximum(decibel, -top_db, dtype=np.float32)
