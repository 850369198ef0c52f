"""Inversion of log-mel spectrograms to waveforms.

torch and SciPy, on any device; torchaudio only for the method `reference`. No Ray, no soundfile.
Shapes: N clips, S samples, F FFT bins, M mel bands, T frames.
"""

import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from scipy.linalg import pinv

from freqquest.audio.phase import Stft, griffin_lim
from freqquest.audio.spectrogram import CGAN_VIEW, SpectrogramConfig, mel_filter_bank

MAX_PEAK = 0.98
"""Highest peak, relative to full scale. Louder clips are scaled down instead of clipped."""

NUM_ITERATIONS = 80
"""Griffin-Lim iterations of the default method; more gain little (results/README.md)."""

_REFERENCE_ITERATIONS = 32
"""Griffin-Lim iterations of the method `reference`, as in the recipe."""

_MOMENTUM = 0.99
"""Momentum of Griffin-Lim, in both methods."""

_CORRECT_EVERY = 5
"""Iterations between two corrections of the magnitudes toward the mel bands."""

_TORCH_SEED = threading.Lock()
"""Held while torch's own random generator has a clip's seed, as all threads share it."""

_MAX_LOG_POWER = 20.0
"""Limit of the input with the recipe's window or a shorter one, far above full-scale sound; keeps
an untrained generator's output finite."""

_CPU_BINS_AT_ONCE = 2**18
"""Spectrum bins processed together, as many as fit a CPU's cache."""

_GPU_BINS_AT_ONCE = 2**25
"""The same on a GPU, at most: they keep the largest busy."""

_GPU_MEMORY_SHARE, _BYTES_PER_BIN = 0.15, 40
"""Share of a GPU's memory for these bins, and the memory of each."""


def invert(
    log_mels: np.ndarray | torch.Tensor,
    config: SpectrogramConfig,
    sample_rate_hz: int,
    *,
    seeds: Sequence[int],
    method: Literal["default", "reference"] = "default",
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Return waveforms whose log-mel spectrograms are close to those given.

    No clip depends on the others.

    Args:
        log_mels: `[N, M, T]`, ln(1 + power). Negative values and NaN count as 0.
        config: Analysis of the spectrograms, with compression `log1p`.
        sample_rate_hz: Sample rate of the waveforms.
        seeds: One seed per clip, for its initial phases.
        method: `default` is the best measured. `reference` is the published method (pseudo-inverse
            of the mel filters, Griffin-Lim), without torchaudio's solver, which fails on filters of
            rank 126 of 128.
        device: Device to compute on.

    Returns:
        Waveforms `[N, S]`, float32, finite, with peaks of at most MAX_PEAK;
        S = hop_length * (T - 1).

    Raises:
        ValueError: The compression loses the level, or the shape or the number of seeds is wrong.
    """
    _check(log_mels.shape, config, len(seeds))
    num_clips, _, num_frames = log_mels.shape
    device = torch.device(device)
    invert_chunk = _invert_default if method == "default" else _invert_reference
    num_bins = num_frames * (config.n_fft // 2 + 1)
    step = max(1, _bins_at_once(device) // num_bins)
    waveforms = np.empty((num_clips, config.hop_length * (num_frames - 1)), np.float32)
    # The power of a tone grows as n_fft^2.
    highest = _MAX_LOG_POWER + 2 * math.log(max(1, config.n_fft / CGAN_VIEW.n_fft))
    with torch.no_grad():
        for start in range(0, num_clips, step):
            chunk = slice(start, start + step)
            clips = torch.as_tensor(log_mels[chunk]).to(device, torch.float32)
            mel_power = clips.nan_to_num(0).clamp(0, highest).expm1_()
            inverted = invert_chunk(mel_power, config, sample_rate_hz, seeds[chunk])
            peaks = inverted.abs().amax(-1, keepdim=True)
            waveforms[chunk] = (inverted * (MAX_PEAK / peaks.clamp(min=MAX_PEAK))).cpu().numpy()
    return waveforms


def _bins_at_once(device: torch.device) -> int:
    if device.type == "cpu":
        return _CPU_BINS_AT_ONCE
    num_bytes = _GPU_MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory
    return min(_GPU_BINS_AT_ONCE, int(num_bytes / _BYTES_PER_BIN))


def _check(shape: tuple[int, ...], config: SpectrogramConfig, num_seeds: int) -> None:
    if config.compression != "log1p":
        raise ValueError(
            f"compression {config.compression!r} loses the level: it must be 'log1p' to be inverted"
        )
    min_frames = (config.n_fft + 1) // (2 * config.hop_length) + 2
    if len(shape) != 3 or shape[1] != config.num_mels or shape[2] < min_frames:
        raise ValueError(
            f"spectrograms of shape {tuple(shape)} must be [N, {config.num_mels}, T] with T of "
            f"{min_frames} or more, so that the waveform is longer than half a window"
        )
    if num_seeds != shape[0]:
        raise ValueError(f"{num_seeds} seeds for {shape[0]} spectrograms: pass one per spectrogram")


def _invert_default(
    mel_power: torch.Tensor, config: SpectrogramConfig, sample_rate_hz: int, seeds: Sequence[int]
) -> torch.Tensor:
    """Invert mel power `[N, M, T]` to `[N, S]` by smooth spectra and a mel-guided Griffin-Lim."""
    mel_power = mel_power.mT.contiguous()
    filters = _filters(config, sample_rate_hz, mel_power.device)
    magnitudes = _smooth_spectra(mel_power, filters).sqrt_()
    return griffin_lim(
        magnitudes,
        _random_phases(magnitudes.shape, seeds, magnitudes.device),
        _stft(config, mel_power.shape[1], mel_power.device),
        num_iterations=NUM_ITERATIONS,
        momentum=_MOMENTUM,
        correct=lambda power: _fit(power, mel_power, filters, num_steps=3).sqrt_(),
        correct_every=_CORRECT_EVERY,
    )


def _smooth_spectra(mel_power: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Return smooth power spectra `[N, T, F]` with the given mel bands `[N, T, M]`.

    Many spectra have the same mel bands. The search starts from a flat one and smooths in between,
    so it ends without peaks or gaps that the bands do not require: closer to real spectra than
    those of smallest norm.
    """
    spectra = mel_power.new_ones(*mel_power.shape[:2], filters.shape[1])
    for _ in range(3):
        spectra = _fit(spectra, mel_power, filters, num_steps=5)
        for dim in (1, 2):
            spectra = _smooth(spectra, dim)
    return _fit(spectra, mel_power, filters, num_steps=15)


def _fit(
    spectra: torch.Tensor, mel_power: torch.Tensor, filters: torch.Tensor, *, num_steps: int
) -> torch.Tensor:
    """Fit power spectra `[N, T, F]` to mel bands `[N, T, M]` by multiplicative updates.

    The spectra stay non-negative; each step reduces the Kullback-Leibler divergence from the bands.

    Source: Lee and Seung, "Algorithms for non-negative matrix factorization", 2001, theorem 2.
    """
    weights = filters / filters.sum(0).clamp(min=1e-8)
    for _ in range(num_steps):
        spectra = spectra * ((mel_power / (spectra @ filters.T).clamp_(min=1e-12)) @ weights)
    return spectra


def _smooth(spectra: torch.Tensor, dim: int) -> torch.Tensor:
    """Average neighbors with weights (1, 2, 1); the ends stay."""
    count = spectra.shape[dim] - 2
    smooth = spectra.clone()
    inner = smooth.narrow(dim, 1, count)
    inner.mul_(2).add_(spectra.narrow(dim, 0, count)).add_(spectra.narrow(dim, 2, count)).div_(4)
    return smooth


@lru_cache(maxsize=4)
def _filters(config: SpectrogramConfig, sample_rate_hz: int, device: torch.device) -> torch.Tensor:
    """Return the mel filters `[M, F]` on a device."""
    return torch.from_numpy(mel_filter_bank(config, sample_rate_hz)).to(device)


@lru_cache(maxsize=4)
def _stft(config: SpectrogramConfig, num_frames: int, device: torch.device) -> Stft:
    """Return the transform; building one waits for a GPU."""
    return Stft(config.n_fft, config.hop_length, num_frames, config.padding, device)


def _random_phases(
    shape: tuple[int, ...], seeds: Sequence[int], device: torch.device
) -> torch.Tensor:
    """Return random phases `[N, T, F]` in radians, the same for every device.

    They are drawn while a GPU still computes the spectra. Phases derived from the magnitudes would
    start closer, but turn smooth noise into pulses.
    """
    phases = torch.empty(shape, pin_memory=device.type == "cuda")
    for clip, seed in zip(phases, seeds, strict=True):
        torch.rand(clip.shape, generator=torch.Generator().manual_seed(seed), out=clip)
    return phases.to(device, non_blocking=True).mul_(2 * math.pi)


def _invert_reference(
    mel_power: torch.Tensor, config: SpectrogramConfig, sample_rate_hz: int, seeds: Sequence[int]
) -> torch.Tensor:
    """Invert mel power `[N, M, T]` to `[N, S]` by pseudo-inverse filters and Griffin-Lim."""
    from torchaudio.functional import griffinlim  # only this method needs it

    device = mel_power.device
    power = (_inverse_filters(config, sample_rate_hz).to(device) @ mel_power).clamp_(min=0)
    waveforms = []
    for clip, seed in zip(power, seeds, strict=True):
        with _TORCH_SEED, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            waveform = griffinlim(
                clip,
                window=torch.hann_window(config.n_fft, device=device),
                n_fft=config.n_fft,
                hop_length=config.hop_length,
                win_length=config.n_fft,
                power=2.0,
                n_iter=_REFERENCE_ITERATIONS,
                momentum=_MOMENTUM,
                length=config.hop_length * (clip.shape[1] - 1),
                rand_init=True,
            )
        waveforms.append(waveform)
    return torch.stack(waveforms)


@lru_cache(maxsize=4)
def _inverse_filters(config: SpectrogramConfig, sample_rate_hz: int) -> torch.Tensor:
    """Return the pseudo-inverse `[F, M]` of the mel filters: least squares of smallest norm."""
    return torch.from_numpy(
        pinv(mel_filter_bank(config, sample_rate_hz).astype(np.float64)).astype(np.float32)
    )
