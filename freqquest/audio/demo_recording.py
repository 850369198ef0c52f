"""A made-up recording: a sound in a room, with a background, through a microphone.

Recordings differ as real ones do, so that a classifier errs on some that it has not learned: walls
muffle the source, rooms blur it, another class plays in the background, microphones cut low and
high frequencies.

NumPy and SciPy only. `traits` and `moment` are the random generators of a recording and of a clip
of it (see `demo_sounds`).
Shapes: S samples, F frequency bins.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

from freqquest.audio.demo_signals import (
    Axes,
    Signal,
    colored_noise,
    falling_harmonics,
    filtered,
    gain,
    log_uniform,
    oscillator,
    power_law,
    resonances,
    unit_level,
    wander,
)
from freqquest.audio.demo_sounds import SOUNDS


def record(class_name: str, traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize a clip `[S]`, peak below 1: the sound in its room, background, recording level."""
    level_db, background_db = traits.uniform(-32, -13), traits.uniform(-30, -4)
    room, microphone = _room(traits, axes), _microphone(traits, axes)
    background = _background(traits, moment, axes, microphone, class_name)
    sound = filtered(SOUNDS[class_name](traits, moment, axes), room * microphone)

    mix = unit_level(sound) + gain(background_db + moment.uniform(-1, 1)) * background
    mix = unit_level(mix[: round(axes.sample_rate_hz * axes.duration_s)])
    mix *= gain(level_db + moment.uniform(-2, 2))
    return mix * min(1.0, 0.95 / float(np.abs(mix).max()))


def _room(traits: Generator, axes: Axes) -> NDArray[np.complex64]:
    """Return the response `[F]` of a room: the direct sound, a decaying tail of echoes, a wall."""
    decay_s, tail_level = log_uniform(traits, 0.02, 0.4), gain(traits.uniform(-20, 6))
    time_s = axes.time_s[: axes.sample_rate_hz]
    tail = traits.standard_normal(len(time_s), dtype=np.float32) * np.exp(-time_s / decay_s)
    tail *= tail_level / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    response: NDArray[np.complex64] = fft.rfft(tail, len(axes.time_s))
    # Every third source is behind a wall.
    wall = power_law(axes, traits.uniform(0.7, 1.8), log_uniform(traits, 400, 2000))
    return response * wall if traits.random() < 1 / 3 else response


def _microphone(traits: Generator, axes: Axes) -> Signal:
    """Return the response `[F]` of a microphone: dull or bright, with a high and a low cutoff."""
    tilt = power_law(axes, traits.uniform(-0.3, 0.4), 1000)
    lowest_hz, limit_hz = log_uniform(traits, 25, 400), log_uniform(traits, 2_500, 20_000)
    low_cut = 1 / (1 + (lowest_hz / np.maximum(axes.frequency_hz, 1)) ** 2)
    return tilt * low_cut / (1 + (axes.frequency_hz / limit_hz) ** 4)


def _background(
    traits: Generator, moment: Generator, axes: Axes, microphone: Signal, class_name: str
) -> Signal:
    """Synthesize a background at unit level: air, traffic, sometimes hum, talk, another class."""
    has_hum, has_talk, has_distant = traits.random(3) < (0.3, 0.3, 0.6)
    hum_level, talk_level = (gain(traits.uniform(-12, 0)) for _ in range(2))
    distant_level = gain(traits.uniform(-6, 9))
    exponent, mains_hz = traits.uniform(0.3, 1.6), int(traits.choice([50, 60]))
    distant = str(traits.choice([name for name in SOUNDS if name != class_name]))

    background = colored_noise(moment, axes, power_law(axes, exponent) * microphone)
    if has_hum:  # it enters after the microphone, through the cable
        hum = oscillator(
            axes, np.full_like(axes.time_s, mains_hz), falling_harmonics(axes, 1500, 0.7)
        )
        background += hum_level * unit_level(hum)
    if has_talk:
        background += talk_level * _talk(traits, moment, axes)
    if has_distant:
        far = filtered(SOUNDS[distant](traits, moment, axes), power_law(axes, 1, 1500) * microphone)
        background += distant_level * unit_level(far)
    return unit_level(background)


def _talk(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize two people talking at once, unintelligibly, at unit level."""
    lowest, middle, highest = traits.uniform((350, 900, 2200), (700, 1800, 3000))
    vowels = resonances(axes, [lowest, middle, highest], quality=4)
    talk = np.zeros_like(axes.time_s)
    for pitch_hz in [log_uniform(traits, 90, 250) for _ in range(2)]:
        melody = pitch_hz * (1 + 0.2 * wander(moment, axes, 0.25))
        syllables = np.maximum(wander(moment, axes, 0.12), 0)
        talk += syllables * oscillator(axes, melody, falling_harmonics(axes, 2 * pitch_hz, 1.2))
    return unit_level(filtered(talk, vowels))
