"""Log-mel spectrograms of waveforms.

NumPy and SciPy only, so that preprocessing loads neither TensorFlow nor torch. SciPy's real FFT
keeps float32; on one thread it was faster than NumPy's and torch's for both views.
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

from freqquest.choices import check_choices

_SAMPLES_AT_ONCE = 2**16
"""Samples of the frames that are analyzed together.

Their arrays fit the processor's cache and reuse memory: with all frames at once, fresh memory pages
took longer than the arithmetic.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrogramConfig:
    """Analysis of a waveform. Saved in every dataset's manifest and with every model."""

    n_fft: int = 2048
    """Analysis window (periodic Hann), in samples."""

    hop_length: int = 512
    """Step between frames, in samples."""

    num_mels: int = 128
    """Number of mel bands."""

    num_frames: int = 173
    """Number of frames. Longer spectrograms are cut, shorter ones padded with zeros."""

    mel_scale: Literal["slaney", "htk"] = "slaney"
    """`slaney`: filters of equal area (librosa's default); `htk`: of unit peak (torchaudio's)."""

    padding: Literal["constant", "reflect"] = "constant"
    """Padding of the waveform by half a window at both ends, which centers the frames."""

    compression: Literal["decibel", "log1p"] = "decibel"
    """`decibel`: dB relative to the clip's maximum; `log1p`: ln(1 + power), keeps the level."""

    top_db: float = 80.0
    """Range of the `decibel` compression, in dB below the maximum."""

    min_frequency_hz: float = 0.0
    """Lower edge of the lowest mel band, in Hz."""

    max_frequency_hz: float | None = None
    """Upper edge of the highest mel band, in Hz; None for half the sample rate."""

    def filled_frames(self, num_samples: int) -> int:
        """Return the number of frames that a waveform fills; the others are zeros."""
        return min(self.num_frames, 1 + num_samples // self.hop_length)

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 < self.hop_length <= self.n_fft:
            raise ValueError(
                f"`hop_length={self.hop_length}` must be between 1 and `n_fft={self.n_fft}`: "
                "a longer hop would skip audio between frames"
            )
        for name in ("num_mels", "num_frames", "top_db"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}={getattr(self, name)}` must be above 0")


CNN_VIEW = SpectrogramConfig()
"""The classifier's view: librosa's melspectrogram and power_to_db(ref=max)."""

CGAN_VIEW = SpectrogramConfig(
    n_fft=1024,
    hop_length=256,
    num_frames=512,
    mel_scale="htk",
    padding="reflect",
    compression="log1p",
)
"""The generator's view: torchaudio's MelSpectrogram and log1p."""


@lru_cache(maxsize=8)
def mel_filter_bank(config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Return triangular mel filters `[M, F]`, float32, equal to librosa's.

    Loading librosa takes a worker longer than 200 clips.

    Source: Slaney, "Auditory Toolbox", 1998 (`slaney`); the HTK book, 1995 (`htk`).
    """
    to_mel, to_hz = (
        (_slaney_mel, _slaney_hz) if config.mel_scale == "slaney" else (_htk_mel, _htk_hz)
    )
    highest_hz = sample_rate_hz / 2 if config.max_frequency_hz is None else config.max_frequency_hz
    bins_hz = np.arange(config.n_fft // 2 + 1) * (sample_rate_hz / config.n_fft)
    edges = np.linspace(to_mel(config.min_frequency_hz), to_mel(highest_hz), config.num_mels + 2)
    edges_hz = to_hz(edges)[:, None]
    widths_hz = np.diff(edges_hz, axis=0)
    rising, falling = (
        (bins_hz - edges_hz[:-2]) / widths_hz[:-1],
        (edges_hz[2:] - bins_hz) / widths_hz[1:],
    )
    filters = np.maximum(0, np.minimum(rising, falling))
    if config.mel_scale == "slaney":
        filters *= 2 / (edges_hz[2:] - edges_hz[:-2])  # equal areas
    single_precision: np.ndarray = filters.astype(np.float32)
    return single_precision


def _htk_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _htk_hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _slaney_mel(hz: float) -> float:
    """Convert Hz to mel: linear up to 1000 Hz (15 mel), then 27 mel for each factor of 6.4."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@lru_cache(maxsize=8)
def _sparse_mel_filter_bank(config: SpectrogramConfig, sample_rate_hz: int) -> csr_array:
    """Return the same filters, sparse: at most two of 128 overlap, so 98 % is zeros."""
    return csr_array(mel_filter_bank(config, sample_rate_hz))


def log_mel(waveform: np.ndarray, config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Return the log-mel spectrogram of a waveform.

    Args:
        waveform: `[S]`, float32, mono, full scale 1.0, at least half a window long.
        config: Settings of the analysis.
        sample_rate_hz: Sample rate of the waveform.

    Returns:
        `[M, T]`, float32: dB from `-top_db` to 0, or ln(1 + power), 0 or more.

    Raises:
        ValueError: The waveform is not mono.
    """
    if waveform.ndim != 1:
        raise ValueError(
            f"waveform of shape {waveform.shape} is not mono: it must be [S]; average its channels"
        )
    power = mel_power(centered_frames(waveform, config), config, sample_rate_hz)
    spectrogram = np.zeros((config.num_mels, config.num_frames), np.float32)
    spectrogram[:, : power.shape[1]] = power
    compress(spectrogram[:, : power.shape[1]], config)
    return spectrogram


def centered_frames(waveforms: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Return the frames `[..., T, n_fft]` of waveforms `[..., S]`, at most `num_frames`; a view.

    The waveforms are padded by half a window, so that the first frame is centered on their start.
    """
    half = config.n_fft // 2
    sides = [(0, 0)] * (waveforms.ndim - 1) + [(half, config.n_fft - half)]
    padded = np.pad(waveforms, sides, mode=config.padding)
    frames = sliding_window_view(padded, config.n_fft, axis=-1)
    return frames[..., :: config.hop_length, :][..., : config.num_frames, :]


def mel_power(frames: np.ndarray, config: SpectrogramConfig, sample_rate_hz: int) -> np.ndarray:
    """Return the mel power `[M, T]` of frames `[T, n_fft]`, which are windowed here."""
    window = hann(config.n_fft)
    power = np.empty((len(frames), config.n_fft // 2 + 1), np.float32)
    step = max(1, _SAMPLES_AT_ONCE // config.n_fft)
    windowed = np.empty((step, config.n_fft), np.float32)
    for start in range(0, len(frames), step):
        some = frames[start : start + step]
        spectrum = scipy.fft.rfft(np.multiply(some, window, out=windowed[: len(some)]), axis=-1)
        squares = spectrum.view(np.float32)  # real and imaginary parts in turn
        np.square(squares, out=squares)
        np.add(squares[:, ::2], squares[:, 1::2], out=power[start : start + step])
    filters = _sparse_mel_filter_bank(config, sample_rate_hz)
    of_bands: np.ndarray = filters @ np.ascontiguousarray(power.T)
    return of_bands


@lru_cache(maxsize=8)
def hann(num_samples: int) -> np.ndarray:
    """Return a periodic Hann window `[S]`, float32."""
    return np.hanning(num_samples + 1)[:-1].astype(np.float32)


def compress(power: np.ndarray, config: SpectrogramConfig) -> None:
    """Replace mel power `[M, T]` by its compressed values, those of a spectrogram; in place."""
    if config.compression == "log1p":
        np.log1p(power, out=power)
        return
    smallest = 1e-10
    maximum = max(float(power.max()), smallest)  # silence is 0 dB
    np.maximum(power, smallest, out=power)
    power /= maximum
    np.log10(power, out=power)
    power *= 10.0
    np.maximum(power, -config.top_db, out=power)
