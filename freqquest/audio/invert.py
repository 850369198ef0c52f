"""Turn log-mel spectrograms back into sound.

torch and torchaudio, no Ray; on any device. Shapes: N clips, S samples, F FFT bins, M mel bands, T frames.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from scipy.linalg import pinv

from freqquest.audio.phase import Stft, griffin_lim
from freqquest.audio.spectrogram import SpectrogramConfig, mel_filter_bank

MAX_PEAK = 0.98
"""Louder clips are turned down to this share of full scale, as WAV files would clip them."""

NUM_ITERATIONS = 80
"""Of the default's search for phases; more gain little (results/README.md)."""

_RECIPE_ITERATIONS, _MOMENTUM = 32, 0.99

_CORRECT_EVERY = 5
"""Iterations after which the magnitudes are led back to the mel bands: their detail then comes from the waveform."""

_MAX_LOG_POWER = 20.0
"""Far above what full-scale sound reaches; keeps an untrained generator's values finite."""

_BINS_AT_ONCE = {"cpu": 2**18, "gpu": 2**25}
"""Spectrum bins of all clips that are worked on together: on a CPU what its cache holds, on a GPU some 2 GiB."""


def invert(
    log_mels: np.ndarray | torch.Tensor,
    config: SpectrogramConfig,
    sample_rate_hz: int,
    *,
    seeds: Sequence[int],
    method: Literal["default", "recipe"] = "default",
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Waveforms whose log-mel spectrograms are close to those given; none depends on the others.

    Args:
        log_mels: `[N, M, T]`, ln(1 + power); values below 0, and what is no number, count as 0.
        config: The analysis they came from, of compression `log1p`.
        sample_rate_hz: Of the waveforms.
        seeds: One for each clip: of the phases that its search starts from.
        method: `default` is the best that we have measured; `recipe` the published one (pseudo-inverse of the mel
            filters, Griffin-Lim), but for torchaudio's solver, which fails on filters of rank 126 of 128.
        device: Where to compute.

    Returns:
        Waveforms `[N, S]`, float32, finite, each with a peak of at most MAX_PEAK; S = hop_length * (T - 1).

    Raises:
        ValueError: The compression keeps no level, or the shape or the number of seeds is wrong.
    """
    _check(log_mels.shape, config, len(seeds))
    num_clips, _, num_frames = log_mels.shape
    device = torch.device(device)
    invert_chunk = _invert_default if method == "default" else _invert_recipe
    step = max(
        1,
        _BINS_AT_ONCE["cpu" if device.type == "cpu" else "gpu"]
        // (num_frames * (config.n_fft // 2 + 1)),
    )
    waveforms = np.empty((num_clips, config.hop_length * (num_frames - 1)), np.float32)
    with torch.no_grad():
        for start in range(0, num_clips, step):
            chunk = slice(start, start + step)
            clips = torch.as_tensor(log_mels[chunk]).to(device, torch.float32)
            mel_power = clips.nan_to_num(0).clamp(0, _MAX_LOG_POWER).expm1_()
            found = invert_chunk(mel_power, config, sample_rate_hz, seeds[chunk])
            peaks = found.abs().amax(-1, keepdim=True)
            waveforms[chunk] = (found * (MAX_PEAK / peaks.clamp(min=MAX_PEAK))).cpu().numpy()
    return waveforms


def _check(shape: tuple[int, ...], config: SpectrogramConfig, num_seeds: int) -> None:
    if config.compression != "log1p":
        raise ValueError(
            f"compression={config.compression} loses the level: only log1p spectrograms can be heard"
        )
    fewest = (config.n_fft + 1) // (2 * config.hop_length) + 2
    if len(shape) != 3 or shape[1] != config.num_mels or shape[2] < fewest:
        raise ValueError(
            f"spectrograms of shape {tuple(shape)}: expected [N, {config.num_mels}, T] with T of {fewest} or more, "
            "so that the sound is longer than half a window"
        )
    if num_seeds != shape[0]:
        raise ValueError(f"{num_seeds} seeds for {shape[0]} spectrograms: expected one for each")


def _invert_default(
    mel_power: torch.Tensor, config: SpectrogramConfig, sample_rate_hz: int, seeds: Sequence[int]
) -> torch.Tensor:
    """Smooth non-negative spectra, and Griffin-Lim that keeps to the mel bands.

    Args and returns: mel power `[N, M, T]` to waveforms `[N, S]`.
    """
    mel_power = mel_power.mT.contiguous()
    filters = _filters(config, sample_rate_hz, mel_power.device)
    stft = Stft(
        config.n_fft, config.hop_length, mel_power.shape[1], config.padding, mel_power.device
    )
    magnitudes = _smooth_spectra(mel_power, filters).sqrt_()
    return griffin_lim(
        magnitudes,
        torch.stack([_random_phases(magnitudes.shape[1:], seed) for seed in seeds]).to(
            magnitudes.device
        ),
        stft,
        num_iterations=NUM_ITERATIONS,
        momentum=_MOMENTUM,
        correct=lambda power: _fit(power, mel_power, filters, num_steps=3).sqrt_(),
        correct_every=_CORRECT_EVERY,
    )


def _smooth_spectra(mel_power: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Smooth power spectra `[N, T, F]` whose mel bands are those given, `[N, T, M]`.

    Many spectra have the same mel bands. The search starts from a flat one and is smoothed on its way, so it ends at
    one without peaks or gaps that the bands do not ask for, which is nearer to real ones than the smallest norm.
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
    """Multiply power spectra `[N, T, F]`, so that they come nearer to the mel bands `[N, T, M]`.

    The steps never leave what is 0 or more, and lessen the Kullback-Leibler divergence from the bands.

    Source: Lee and Seung, "Algorithms for non-negative matrix factorization", 2001, theorem 2.
    """
    weights = filters / filters.sum(0).clamp(min=1e-8)
    for _ in range(num_steps):
        spectra = spectra * ((mel_power / (spectra @ filters.T).clamp_(min=1e-12)) @ weights)
    return spectra


def _smooth(spectra: torch.Tensor, dim: int) -> torch.Tensor:
    """The weighted mean (1, 2, 1) of neighbors; the ends stay."""
    count = spectra.shape[dim] - 2
    smooth = spectra.clone()
    inner = smooth.narrow(dim, 1, count)
    inner.mul_(2).add_(spectra.narrow(dim, 0, count)).add_(spectra.narrow(dim, 2, count)).div_(4)
    return smooth


@lru_cache(maxsize=4)
def _filters(config: SpectrogramConfig, sample_rate_hz: int, device: torch.device) -> torch.Tensor:
    """Mel filters `[M, F]`."""
    return torch.from_numpy(mel_filter_bank(config, sample_rate_hz)).to(device)


def _random_phases(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Radians, the same for every device.

    Phases that follow from the magnitudes would start nearer, but smooth noise then comes back as a row of pulses.
    """
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).mul_(2 * math.pi)


def _invert_recipe(
    mel_power: torch.Tensor, config: SpectrogramConfig, sample_rate_hz: int, seeds: Sequence[int]
) -> torch.Tensor:
    """The smallest spectra that fit, and Griffin-Lim from random phases: mel power `[N, M, T]` to `[N, S]`."""
    from torchaudio.functional import griffinlim

    device = mel_power.device
    power = (_inverse_filters(config, sample_rate_hz).to(device) @ mel_power).clamp_(min=0)
    waveforms = []
    for clip, seed in zip(power, seeds, strict=True):
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            waveform = griffinlim(
                clip,
                window=torch.hann_window(config.n_fft, device=device),
                n_fft=config.n_fft,
                hop_length=config.hop_length,
                win_length=config.n_fft,
                power=2.0,
                n_iter=_RECIPE_ITERATIONS,
                momentum=_MOMENTUM,
                length=config.hop_length * (clip.shape[1] - 1),
                rand_init=True,
            )
        waveforms.append(waveform)
    return torch.stack(waveforms)


@lru_cache(maxsize=4)
def _inverse_filters(config: SpectrogramConfig, sample_rate_hz: int) -> torch.Tensor:
    """Pseudo-inverse `[F, M]` of the mel filters: the least-squares solution of smallest norm."""
    return torch.from_numpy(
        pinv(mel_filter_bank(config, sample_rate_hz).astype(np.float64)).astype(np.float32)
    )
