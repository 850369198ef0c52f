"""Five sounds of a city, synthesized: a dog, a drill, an engine, a siren, street musicians.

NumPy and SciPy only. Each sound is a function of two random generators:

- `traits` decides what stays the same throughout a recording, such as which dog it is. It is seeded alike for
  every clip of a recording, so what is drawn from it must not depend on `moment`.
- `moment` decides what happens in this clip of the recording, such as when the dog barks.

Samples are single precision, which halves the time. Shapes: S samples, F frequency bins, H harmonics.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

Signal = NDArray[np.float32]

_TABLE_BITS = 11


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """The axes that all parts of one clip share: `time_s` [S] and `frequency_hz` [F]."""

    sample_rate_hz: int
    duration_s: float
    time_s: Signal
    frequency_hz: Signal


Sound = Callable[[Generator, Generator, Axes], Signal]
"""`sound(traits, moment, axes)` returns a clip [S] of any loudness."""


@lru_cache(maxsize=1)
def make_axes(sample_rate_hz: int, duration_s: float) -> Axes:
    """Lays out a clip's samples and frequencies: some samples too many, for a faster Fourier transform."""
    num_samples = fft.next_fast_len(round(sample_rate_hz * duration_s), real=True)
    return Axes(
        sample_rate_hz=sample_rate_hz,
        duration_s=duration_s,
        time_s=(np.arange(num_samples) / sample_rate_hz).astype(np.float32),
        frequency_hz=np.fft.rfftfreq(num_samples, 1 / sample_rate_hz).astype(np.float32),
    )


def log_uniform(random: Generator, low: float, high: float) -> float:
    """Draws so that each octave from `low` to `high` is equally likely, as ears judge pitch and duration."""
    return float(low * (high / low) ** random.random())


def gain(level_db: float) -> float:
    """The amplitude factor of a level in decibels."""
    return float(10 ** (level_db / 20))


def unit_level(sound: Signal) -> Signal:
    """Scales a sound to a root mean square of 1; silence stays silent."""
    return sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-9)


def falling_harmonics(axes: Axes, highest_pitch_hz: float, exponent: float) -> Signal:
    """Amplitudes `1 / k ** exponent` [H] of the harmonics that stay below the Nyquist frequency."""
    num_harmonics = np.clip(
        int(axes.sample_rate_hz / 2 / highest_pitch_hz), 1, 2 ** (_TABLE_BITS - 2)
    )
    return np.power(np.arange(1, num_harmonics + 1, dtype=np.float32), -exponent, dtype=np.float32)


def oscillator(axes: Axes, pitch_hz: Signal, harmonics: Signal) -> Signal:
    """A periodic wave whose pitch follows `pitch_hz` [S], from harmonic amplitudes [H].

    Looked up in a table of one period, so that a hundred harmonics cost no more than one.
    """
    spectrum = np.concatenate([[0], -1j * harmonics]).astype(np.complex64)
    table: Signal = fft.irfft(spectrum, 2**_TABLE_BITS) * 2**_TABLE_BITS
    wave: Signal = table[_phases(axes, pitch_hz) >> (32 - _TABLE_BITS)]
    return wave


def _phases(axes: Axes, rate_hz: Signal) -> NDArray[np.uint32]:
    """The phase [S] of a cycle of changing rate: a fraction in 32 bits that overflow when a period ends."""
    steps = (rate_hz * (2**32 / axes.sample_rate_hz)).astype(np.uint32)
    return np.cumsum(steps, dtype=np.uint32)


def filtered(sound: Signal, response: Signal | NDArray[np.complex64]) -> Signal:
    """Applies a frequency response [F]. Its tail wraps round to the start, as an echo of what came before."""
    result: Signal = fft.irfft(fft.rfft(sound) * response, len(sound))
    return result


def colored_noise(random: Generator, axes: Axes, response: Signal) -> Signal:
    """Gaussian noise of the spectrum `response` [F], at unit level."""
    # A sum of so many bins is Gaussian whatever each of them is, and uniform numbers come fastest.
    white = random.random(2 * len(response), dtype=np.float32).view(np.complex64) - (0.5 + 0.5j)
    noise: Signal = fft.irfft(white * response, len(axes.time_s))
    return unit_level(noise)


def power_law(axes: Axes, exponent: float, corner_hz: float = 50.0) -> Signal:
    """A response [F] that is flat up to `corner_hz` and falls as `1 / frequency ** exponent` above it."""
    return (1 + axes.frequency_hz / corner_hz) ** -exponent


def resonances(axes: Axes, centres_hz: list[float], quality: float, floor: float = 0.05) -> Signal:
    """A response [F] with a peak of height 1 at each center; `quality` is center over bandwidth."""
    response = np.full_like(axes.frequency_hz, floor)
    for centre_hz in centres_hz:
        response += 1 / (1 + (2 * quality * (axes.frequency_hz / centre_hz - 1)) ** 2)
    return response


def wander(random: Generator, axes: Axes, step_s: float) -> Signal:
    """A curve [S] between -1 and 1 that heads for a new random value every `step_s` seconds."""
    step = round(step_s * axes.sample_rate_hz)
    knots = random.uniform(-1, 1, len(axes.time_s) // step + 3).astype(np.float32)
    ramps = np.linspace(
        knots[:-1], knots[1:], step, endpoint=False, axis=1, dtype=np.float32
    ).ravel()
    start = random.integers(step)
    return ramps[start : start + len(axes.time_s)]


def place(clip: Signal, event: Signal, start: int) -> None:
    """Adds an event to a clip in place, from sample `start`; what lies outside the clip is not heard."""
    event = event[max(-start, 0) :]
    window = clip[max(start, 0) :][: len(event)]
    window += event[: len(window)]


def beats(
    random: Generator, axes: Axes, rate_hz: Signal, strengths: list[float], jitter: float
) -> Signal:
    """Impulses [S] at the changing rate `rate_hz` [S], their heights cycling through `strengths`.

    `jitter` is the standard deviation of their relative heights and, in periods, of their delays.
    """
    phases = _phases(axes, rate_hz) + random.integers(2**32, dtype=np.uint32)
    starts = np.flatnonzero(phases[1:] < phases[:-1])
    delays = random.normal(0, jitter, len(starts)) * axes.sample_rate_hz / rate_hz[starts]
    impulses = np.zeros_like(axes.time_s)
    heights = np.resize(strengths, len(starts)) * random.normal(1, jitter, len(starts))
    impulses[np.clip(starts + delays.astype(np.int64), 0, len(impulses) - 1)] = heights
    return impulses


def dog_bark(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Groups of barks: short, harsh bursts of harmonics, their pitch jumping up and falling."""
    pitch_hz, length_s = log_uniform(traits, 230, 1100), log_uniform(traits, 0.1, 0.3)
    depth, harshness = traits.uniform(0.3, 0.65), traits.uniform(0.05, 0.6)
    group, gap_s, pause_s = (
        traits.integers(1, 5),
        traits.uniform(0.08, 0.35),
        traits.uniform(0.4, 1.5),
    )
    # Small dogs bark higher and, with their shorter muzzles, brighter.
    muzzle = (pitch_hz / 500) ** 0.4 * traits.uniform(0.8, 1.25)
    formants = resonances(
        axes, [750 * muzzle, 1700 * muzzle, 3300 * muzzle], traits.uniform(1.5, 5)
    )
    harmonics = falling_harmonics(axes, 1.1 * pitch_hz, traits.uniform(0.4, 1.2))

    clip = np.zeros_like(axes.time_s)
    start_s = moment.uniform(0, min(0.3 * axes.duration_s, pause_s))
    while start_s < axes.duration_s:
        for _ in range(moment.integers(1, group + 1)):
            bark_s = length_s * moment.uniform(0.8, 1.2)
            part = axes.time_s[: int(bark_s * axes.sample_rate_hz)] / bark_s
            contour = 1 - depth + depth * np.sin(np.pi * np.sqrt(part))
            voice = unit_level(
                oscillator(axes, pitch_hz * moment.uniform(0.9, 1.1) * contour, harmonics)
            )
            breath = moment.standard_normal(len(part), dtype=np.float32)
            swell = np.minimum(part / 0.08, 1) * (1 - part) ** 1.3 * moment.uniform(0.5, 1)
            bark = swell * ((1 - harshness) * voice + harshness * breath)
            place(clip, bark, int(start_s * axes.sample_rate_hz))
            start_s += bark_s + gap_s * moment.uniform(0.8, 1.3)
        start_s += pause_s * moment.uniform(0.6, 1.4)
    return filtered(clip, formants)


def drilling(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """A hammer drill's clanging blows or a rotary drill's whine, in roaring noise, often in bursts."""
    hammers, in_bursts = traits.random(2) < (0.6, 0.5)
    rate_hz = log_uniform(traits, 15, 40) if hammers else log_uniform(traits, 250, 1400)
    steadiness, burst_s = traits.uniform(0.01, 0.06), log_uniform(traits, 0.4, 2)
    metal = resonances(
        axes, [log_uniform(traits, 700, 7500) for _ in range(5)], traits.uniform(4, 20)
    )
    roar_response = resonances(
        axes, [log_uniform(traits, 900, 6000) for _ in range(3)], 0.7, floor=0.1
    )
    tone, exponent = gain(traits.uniform(-12, 4)), traits.uniform(0.6, 1.5)

    rate = rate_hz * (1 + steadiness * wander(moment, axes, 0.7))
    roar = colored_noise(moment, axes, roar_response)
    if hammers:
        blows = beats(moment, axes, rate, [1.0], jitter=0.06)
        clip = tone * unit_level(filtered(blows, metal))
        # Each blow shakes loose a puff of the roar.
        puffs = filtered(blows, power_law(axes, 1, rate_hz)) * axes.sample_rate_hz / rate_hz
        roar *= 0.4 + np.minimum(1, puffs)
    else:
        clip = tone * unit_level(oscillator(axes, rate, falling_harmonics(axes, rate_hz, exponent)))
    clip = (clip + roar) * (1 + 0.2 * wander(moment, axes, 0.15))
    if in_bursts:
        clip *= np.clip(12 * (wander(moment, axes, burst_s) + 0.6), 0.02, 1)
    return clip


def engine_idling(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Uneven explosions, 10 to 40 a second, through an exhaust; rumble, clatter, and now and then a rev."""
    rate_hz, roughness = log_uniform(traits, 10, 40), traits.uniform(0.01, 0.06)
    cylinders = [traits.uniform(0.5, 1) for _ in range(traits.integers(2, 7))]
    pipe = resonances(
        axes, [log_uniform(traits, 45, 260) for _ in range(3)], traits.uniform(1, 4), 0.01
    )
    block = resonances(axes, [log_uniform(traits, 400, 3000) for _ in range(4)], 2)
    clatter, rumble = gain(traits.uniform(-35, -8)), gain(traits.uniform(-20, 0))
    air = power_law(axes, traits.uniform(1, 2), 100) + traits.uniform(0, 0.04) * power_law(
        axes, 1, 2000
    )
    revs = traits.random() < 0.3

    rate = rate_hz * (1 + roughness * wander(moment, axes, 0.3))
    if revs:
        peak_s, width_s = moment.uniform(0, axes.duration_s), moment.uniform(0.3, 0.7)
        rate *= 1 + moment.uniform(0.5, 2) * np.exp(-(((axes.time_s - peak_s) / width_s) ** 2))
    explosions = beats(moment, axes, rate, cylinders, jitter=roughness)
    clip = unit_level(filtered(explosions, pipe + clatter * block))
    clip += rumble * colored_noise(moment, axes, air)
    clip *= np.sqrt(rate / rate_hz)
    return clip


def siren(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """A wail, a yelp or two alternating tones between 400 and 1,800 Hz, perhaps driving past."""
    low_hz, octaves = log_uniform(traits, 400, 700), traits.uniform(0.6, 1.35)
    slowest_s, fastest_s = ((8, 3), (0.5, 0.2), (2, 0.7))[kind := traits.integers(3)]
    period_s, rise = log_uniform(traits, fastest_s, slowest_s), traits.uniform(0.3, 0.7)
    horn = resonances(axes, [log_uniform(traits, 700, 2500)], traits.uniform(0.6, 2), floor=0.1)
    exponent, speed = traits.uniform(1, 2.5), traits.uniform(0, 0.05)

    periods = axes.time_s / (period_s * moment.uniform(0.95, 1.05)) + moment.random()
    part = periods - np.floor(periods)
    if kind == 2:
        height = 0.5 * (part < 0.5).astype(np.float32)
    else:
        # The square root rounds the sweep as an electronic siren's charging capacitor does.
        height = np.sqrt(np.where(part < rise, part / rise, (1 - part) / (1 - rise)))
    ahead_s = moment.uniform(-1, 2) * axes.duration_s - axes.time_s
    pitch_hz = low_hz * 2 ** (octaves * height) * (1 + speed * np.tanh(ahead_s))
    clip = oscillator(axes, pitch_hz, falling_harmonics(axes, 1900, exponent))
    nearness = 1 / np.sqrt(1 + (20 * speed * ahead_s) ** 2)
    return filtered(clip * nearness * (1 + 0.3 * wander(moment, axes, 0.4)), horn)


def street_music(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """A few musicians: broken chords under a wandering melody, over a beat, in some key and tempo."""
    major, minor = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
    key_hz, scale = log_uniform(traits, 98, 196), major if traits.random() < 0.5 else minor
    step_s, chords = log_uniform(traits, 0.14, 0.36), traits.permutation([0, 3, 4, 5])
    pitches_hz = [key_hz * 2 ** (degree // 7 + scale[degree % 7] / 12) for degree in range(19)]
    accompanist, soloist = _instrument(traits, axes), _instrument(traits, axes)
    restlessness, drum_level = traits.uniform(0.3, 0.9), gain(traits.uniform(-25, 0))
    is_drummed = traits.random(8) < traits.uniform(0.2, 0.8)

    clip = np.zeros_like(axes.time_s)
    start_s = -moment.uniform(1, 2) * step_s
    degree, first = int(moment.integers(7, 14)), int(moment.integers(32))
    for step in range(first, first + int(axes.duration_s / step_s) + 2):
        start = int(start_s * axes.sample_rate_hz)
        chord_note = int(chords[step // 8 % 4]) + (0, 2, 4, 7)[step % 4]
        place(clip, accompanist(pitches_hz[chord_note], 3 * step_s), start)
        if moment.random() < restlessness:
            degree = min(max(degree + int(moment.integers(-2, 3)), 7), 18)
            place(clip, soloist(pitches_hz[degree], step_s * int(moment.integers(1, 4))), start)
        if is_drummed[step % 8]:
            place(clip, drum_level * _drum(moment, axes, deep=step % 4 == 0), start)
        start_s += step_s
    return clip


def _instrument(traits: Generator, axes: Axes) -> Callable[[float, float], Signal]:
    """Something plucked, or something bowed or blown, that plays a pitch in hertz for some seconds."""
    is_plucked, exponent, loudness = (
        traits.random() < 0.5,
        traits.uniform(0.8, 2),
        traits.uniform(0.4, 1),
    )
    attack_s, vibrato_hz, depth = (
        traits.uniform(0.02, 0.08),
        traits.uniform(4, 7),
        traits.uniform(0, 0.015),
    )

    def play(pitch_hz: float, length_s: float) -> Signal:
        time_s = axes.time_s[: int(length_s * axes.sample_rate_hz)]
        if is_plucked:
            envelope = np.exp(-3 * time_s / length_s) * np.minimum(time_s / 0.004, 1)
            pitch = np.full_like(time_s, pitch_hz)
        else:
            envelope = np.minimum(1, np.minimum(time_s, length_s - time_s) / attack_s)
            pitch = pitch_hz * (1 + depth * np.sin(2 * np.pi * vibrato_hz * time_s))
        note = oscillator(axes, pitch, falling_harmonics(axes, pitch_hz, exponent))
        note *= loudness * envelope
        return note

    return play


def _drum(moment: Generator, axes: Axes, *, deep: bool) -> Signal:
    """One blow: a bass drum whose pitch drops, or a burst of noise as from a shaker."""
    time_s = axes.time_s[: axes.sample_rate_hz // 5]
    skin: Signal = np.sin(2 * np.pi * (60 * time_s - 4 * np.exp(-time_s / 0.03))) * np.exp(
        -time_s / 0.06
    )
    rattle: Signal = moment.standard_normal(len(time_s), dtype=np.float32) * np.exp(-time_s / 0.025)
    return skin if deep else rattle


SOUNDS: dict[str, Sound] = {
    sound.__name__: sound for sound in (dog_bark, drilling, engine_idling, siren, street_music)
}
"""Each class and its sound; the order gives the class index."""
