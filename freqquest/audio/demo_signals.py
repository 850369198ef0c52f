"""Building blocks of synthesized sounds: oscillators, noise, filters, random curves.

NumPy and SciPy only. Samples are single precision, which halves the time.
Shapes: S samples, F frequency bins, H harmonics.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

Signal = NDArray[np.float32]

_TABLE_BITS = 11
"""Binary logarithm of the samples in a table of one period."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """Time and frequency axes, shared by all parts of a clip."""

    sample_rate_hz: int
    duration_s: float

    time_s: Signal
    """Time of each sample, `[S]`."""

    frequency_hz: Signal
    """Frequency of each bin, `[F]`."""


@lru_cache(maxsize=1)
def make_axes(sample_rate_hz: int, duration_s: float) -> Axes:
    """Return the axes of a clip, with some extra samples for a faster Fourier transform."""
    num_samples = fft.next_fast_len(round(sample_rate_hz * duration_s), real=True)
    return Axes(
        sample_rate_hz=sample_rate_hz,
        duration_s=duration_s,
        time_s=(np.arange(num_samples) / sample_rate_hz).astype(np.float32),
        frequency_hz=np.fft.rfftfreq(num_samples, 1 / sample_rate_hz).astype(np.float32),
    )


def log_uniform(random: Generator, low: float, high: float) -> float:
    """Draw a number with uniform logarithm, the scale on which ears judge pitch and duration."""
    return float(low * (high / low) ** random.random())


def gain(level_db: float) -> float:
    """Convert a level in dB to an amplitude factor."""
    return float(10 ** (level_db / 20))


def unit_level(sound: Signal) -> Signal:
    """Scale a sound to a root mean square of 1; silence stays silent."""
    return sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-9)


def falling_harmonics(axes: Axes, highest_pitch_hz: float, exponent: float) -> Signal:
    """Return amplitudes `1 / k ** exponent` `[H]` of the harmonics below the Nyquist frequency."""
    num_harmonics = np.clip(
        int(axes.sample_rate_hz / 2 / highest_pitch_hz), 1, 2 ** (_TABLE_BITS - 2)
    )
    return np.power(np.arange(1, num_harmonics + 1, dtype=np.float32), -exponent, dtype=np.float32)


def oscillator(axes: Axes, pitch_hz: Signal, harmonics: Signal) -> Signal:
    """Return a periodic wave whose pitch follows `pitch_hz` `[S]`, from harmonics `[H]`.

    It is looked up in a table of one period, so a hundred harmonics cost no more than one.
    """
    spectrum = np.concatenate([[0], -1j * harmonics]).astype(np.complex64)
    table: Signal = fft.irfft(spectrum, 2**_TABLE_BITS) * 2**_TABLE_BITS
    wave: Signal = table[_phases(axes, pitch_hz) >> (32 - _TABLE_BITS)]
    return wave


def _phases(axes: Axes, rate_hz: Signal) -> NDArray[np.uint32]:
    """Return the phase `[S]` of a cycle of changing rate, as a 32-bit fraction that overflows."""
    steps = (rate_hz * (2**32 / axes.sample_rate_hz)).astype(np.uint32)
    return np.cumsum(steps, dtype=np.uint32)


def filtered(sound: Signal, response: Signal | NDArray[np.complex64]) -> Signal:
    """Apply a frequency response `[F]`. Its tail wraps around, as the echo of earlier sound."""
    result: Signal = fft.irfft(fft.rfft(sound) * response, len(sound))
    return result


def colored_noise(random: Generator, axes: Axes, response: Signal) -> Signal:
    """Return Gaussian noise with the spectrum `response` `[F]`, at unit level."""
    # The sum of so many bins is Gaussian whatever their distribution; uniform is the fastest.
    white = random.random(2 * len(response), dtype=np.float32).view(np.complex64) - (0.5 + 0.5j)
    noise: Signal = fft.irfft(white * response, len(axes.time_s))
    return unit_level(noise)


def power_law(axes: Axes, exponent: float, corner_hz: float = 50.0) -> Signal:
    """Return a response `[F]`: flat up to `corner_hz`, then `1 / frequency ** exponent`."""
    return (1 + axes.frequency_hz / corner_hz) ** -exponent


def resonances(axes: Axes, centers_hz: list[float], quality: float, floor: float = 0.05) -> Signal:
    """Return a response `[F]` with a unit peak per center; `quality` is center over bandwidth."""
    response = np.full_like(axes.frequency_hz, floor)
    for center_hz in centers_hz:
        response += 1 / (1 + (2 * quality * (axes.frequency_hz / center_hz - 1)) ** 2)
    return response


def wander(random: Generator, axes: Axes, step_s: float) -> Signal:
    """Return a curve `[S]` between -1 and 1 through random values `step_s` seconds apart."""
    step = round(step_s * axes.sample_rate_hz)
    knots = random.uniform(-1, 1, len(axes.time_s) // step + 3).astype(np.float32)
    ramps = np.linspace(
        knots[:-1], knots[1:], step, endpoint=False, axis=1, dtype=np.float32
    ).ravel()
    start = random.integers(step)
    return ramps[start : start + len(axes.time_s)]


def add_event(clip: Signal, event: Signal, start: int) -> None:
    """Add an event to a clip in place, from sample `start`; parts outside the clip are dropped."""
    event = event[max(-start, 0) :]
    window = clip[max(start, 0) :][: len(event)]
    window += event[: len(window)]


def beats(
    random: Generator, axes: Axes, rate_hz: Signal, strengths: list[float], jitter: float
) -> Signal:
    """Return impulses `[S]` at the rate `rate_hz` `[S]`, with heights that cycle in `strengths`.

    `jitter` is the standard deviation of the relative heights and, in periods, of the delays.
    """
    phases = _phases(axes, rate_hz) + random.integers(2**32, dtype=np.uint32)
    starts = np.flatnonzero(phases[1:] < phases[:-1])
    delays = random.normal(0, jitter, len(starts)) * axes.sample_rate_hz / rate_hz[starts]
    impulses = np.zeros_like(axes.time_s)
    heights = np.resize(strengths, len(starts)) * random.normal(1, jitter, len(starts))
    impulses[np.clip(starts + delays.astype(np.int64), 0, len(impulses) - 1)] = heights
    return impulses
