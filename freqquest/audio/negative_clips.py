"""Negative clips: noise, hum and silence, which have no sound of any class.

A detector that finds something in them is wrong. NumPy only. Shapes: S samples.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from freqquest.audio.clip import ClipConfig

NOISE_EXPONENTS = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Exponent of the amplitude's fall over frequency, by color."""

_LEVELS_DB = (-70.0, -50.0, -30.0, -10.0)
"""Root mean square of noise and hum, in dB of full scale; the quietest is a few steps of 16 bits,
like the noise of a recorder."""

_HUM_HZ = (50.0, 60.0)
"""Frequencies of the mains."""

_NUM_HARMONICS = 8

_HUM_NOISE_DB = -30.0
"""Level of the noise in a hum, relative to it."""

_LOWEST_HZ = 20.0
"""Frequency below which noise does not grow louder."""

_STEPS = 2**15 - 1
"""Steps of a 16-bit sample, from 0 to full scale."""


def negative_clips(
    clip: ClipConfig, copies: int = 4, seed: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield noise of three colors and hum, each at several levels, and digital silence.

    Samples are rounded to 16 bits, as in a file: the steps change the spectrum of quiet noise.

    Args:
        clip: Format of the clips.
        copies: Clips of each color and frequency at each level.
        seed: Seed of the clips.

    Yields:
        The kind (`white`, `pink`, `brown`, `hum` or `silence`) and the waveform `[S]` of a clip.
    """
    rng = np.random.default_rng(seed)
    yield "silence", np.zeros(clip.num_samples, np.float32)
    for _, level_db in itertools.product(range(copies), _LEVELS_DB):
        for color, exponent in NOISE_EXPONENTS.items():
            sound = noise(rng, clip.num_samples, clip.sample_rate_hz, exponent)
            yield color, _at_level(sound, level_db)
        for pitch_hz in _HUM_HZ:
            yield "hum", _at_level(_hum(rng, clip, pitch_hz), level_db)


def noise(
    rng: np.random.Generator, num_samples: int, sample_rate_hz: int, exponent: float
) -> np.ndarray:
    """Return noise `[S]` whose amplitude falls with `1 / frequency ** exponent`."""
    frequencies_hz = np.fft.rfftfreq(num_samples, 1 / sample_rate_hz)
    spectrum = rng.standard_normal((2, len(frequencies_hz)))
    spectrum /= np.maximum(frequencies_hz, _LOWEST_HZ) ** exponent
    sound: np.ndarray = np.fft.irfft(spectrum[0] + 1j * spectrum[1], num_samples)
    return sound


def _hum(rng: np.random.Generator, clip: ClipConfig, pitch_hz: float) -> np.ndarray:
    """Return the mains' hum `[S]`: harmonics of random strength, with a little noise."""
    time_s = np.arange(clip.num_samples) / clip.sample_rate_hz
    hum = np.zeros(clip.num_samples)
    for number in range(1, _NUM_HARMONICS + 1):
        strength, phase = rng.random() / number, rng.uniform(0, 2 * np.pi)
        hum += strength * np.sin(2 * np.pi * number * pitch_hz * time_s + phase)
    hiss = noise(rng, clip.num_samples, clip.sample_rate_hz, 0.0)
    noisy: np.ndarray = scaled(hum, 0.0) + scaled(hiss, _HUM_NOISE_DB)
    return noisy


def scaled(sound: np.ndarray, level_db: float) -> np.ndarray:
    """Scale a sound `[S]` to a root mean square, in dB of 1."""
    louder: np.ndarray = sound / np.sqrt(np.mean(np.square(sound))) * 10 ** (level_db / 20)
    return louder


def _at_level(sound: np.ndarray, level_db: float) -> np.ndarray:
    """Return a sound as a 16-bit file has it at a level, clipped at full scale."""
    clipped = np.clip(scaled(sound, level_db), -1, 1)
    rounded: np.ndarray = (np.round(clipped * _STEPS) / _STEPS).astype(np.float32)
    return rounded
