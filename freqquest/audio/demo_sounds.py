"""Five synthesized city sounds: a dog, a drill, an engine, a siren, street musicians.

NumPy and SciPy only. Each sound is a function of two random generators:

- `traits` decides what stays the same within a recording, such as which dog it is. Every clip of a
  recording has it with the same seed, so draws from it must not depend on `moment`.
- `moment` decides what happens in one clip of the recording, such as when the dog barks.

Shapes: S samples.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from freqquest.audio.demo_signals import (
    Axes,
    Signal,
    add_event,
    beats,
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

Sound = Callable[[Generator, Generator, Axes], Signal]
"""A function `sound(traits, moment, axes)` that returns a clip `[S]` of any level."""


def dog_bark(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize groups of barks: short, harsh bursts of harmonics with a rising, falling pitch.

    Some dogs also howl, almost as a siren wails.
    """
    pitch_hz, length_s = log_uniform(traits, 230, 1100), log_uniform(traits, 0.1, 0.3)
    depth, harshness = traits.uniform(0.3, 0.65), traits.uniform(0.05, 0.6)
    group, gap_s = traits.integers(1, 5), traits.uniform(0.08, 0.35)
    pause_s = traits.uniform(0.4, 1.5)
    howls, howl_hz, howl_s = traits.random() < 0.3, 0.8 * pitch_hz, traits.uniform(0.7, 1.6)
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
            add_event(clip, bark, int(start_s * axes.sample_rate_hz))
            start_s += bark_s + gap_s * moment.uniform(0.8, 1.3)
        if howls:
            howl = _howl(axes, howl_hz * moment.uniform(0.9, 1.1), howl_s, harmonics)
            add_event(clip, howl, int(start_s * axes.sample_rate_hz))
            start_s += howl_s
        start_s += pause_s * moment.uniform(0.6, 1.4)
    return filtered(clip, formants)


def _howl(axes: Axes, pitch_hz: float, length_s: float, harmonics: Signal) -> Signal:
    """Return a howl: a voice that rises, holds its pitch and falls."""
    part = axes.time_s[: int(length_s * axes.sample_rate_hz)] / length_s
    arch = np.sin(np.pi * part)
    voice = oscillator(axes, pitch_hz * (0.6 + 0.4 * np.sqrt(arch)), harmonics)
    howl: Signal = 0.5 * np.sqrt(arch) * unit_level(voice)
    return howl


def drilling(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize a hammer drill's blows or a rotary drill's whine, in noise, often in bursts."""
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
    """Synthesize 10 to 40 uneven explosions a second through an exhaust, rumble, some revs.

    Some whine, as a rotary drill does.
    """
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
    revs, whines = traits.random(2) < (0.3, 0.35)
    whine, whine_hz = gain(traits.uniform(-12, 3)), log_uniform(traits, 200, 1200)

    rate = rate_hz * (1 + roughness * wander(moment, axes, 0.3))
    if revs:
        peak_s, width_s = moment.uniform(0, axes.duration_s), moment.uniform(0.3, 0.7)
        rate *= 1 + moment.uniform(0.5, 2) * np.exp(-(((axes.time_s - peak_s) / width_s) ** 2))
    explosions = beats(moment, axes, rate, cylinders, jitter=roughness)
    clip = unit_level(filtered(explosions, pipe + clatter * block))
    if whines:  # of a gearbox, a fan or a turbocharger, in step with the engine
        pitch_hz = whine_hz * rate / rate_hz
        clip += whine * unit_level(
            oscillator(axes, pitch_hz, falling_harmonics(axes, 3 * whine_hz, 1.2))
        )
    clip += rumble * colored_noise(moment, axes, air)
    clip *= np.sqrt(rate / rate_hz)
    return clip


def siren(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize a wail, a yelp or two alternating tones, 400 to 1800 Hz, some driving past."""
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
        # The square root rounds the sweep like the charging capacitor of an electronic siren.
        height = np.sqrt(np.where(part < rise, part / rise, (1 - part) / (1 - rise)))
    ahead_s = moment.uniform(-1, 2) * axes.duration_s - axes.time_s
    pitch_hz = low_hz * 2 ** (octaves * height) * (1 + speed * np.tanh(ahead_s))
    clip = oscillator(axes, pitch_hz, falling_harmonics(axes, 1900, exponent))
    nearness = 1 / np.sqrt(1 + (20 * speed * ahead_s) ** 2)
    return filtered(clip * nearness * (1 + 0.3 * wander(moment, axes, 0.4)), horn)


def street_music(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Synthesize a few musicians: broken chords, a wandering melody and a beat."""
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
        add_event(clip, accompanist(pitches_hz[chord_note], 3 * step_s), start)
        if moment.random() < restlessness:
            degree = min(max(degree + int(moment.integers(-2, 3)), 7), 18)
            melody_note = soloist(pitches_hz[degree], step_s * int(moment.integers(1, 4)))
            add_event(clip, melody_note, start)
        if is_drummed[step % 8]:
            add_event(clip, drum_level * _drum(moment, axes, deep=step % 4 == 0), start)
        start_s += step_s
    return clip


def _instrument(traits: Generator, axes: Axes) -> Callable[[float, float], Signal]:
    """Return a plucked, bowed or blown instrument that plays a pitch in Hz for some seconds."""
    is_plucked = traits.random() < 0.5
    exponent, loudness = traits.uniform(0.8, 2), traits.uniform(0.4, 1)
    attack_s = traits.uniform(0.02, 0.08)
    vibrato_hz, depth = traits.uniform(4, 7), traits.uniform(0, 0.015)
    # Some slide into each note, as on a trombone, a fiddle or a saw.
    slide = traits.uniform(0.2, 0.8) if traits.random() < 0.4 else 0.0

    def play(pitch_hz: float, length_s: float) -> Signal:
        time_s = axes.time_s[: int(length_s * axes.sample_rate_hz)]
        if is_plucked:
            envelope = np.exp(-3 * time_s / length_s) * np.minimum(time_s / 0.004, 1)
            pitch = np.full_like(time_s, pitch_hz)
        else:
            envelope = np.minimum(1, np.minimum(time_s, length_s - time_s) / attack_s)
            pitch = pitch_hz * (1 + depth * np.sin(2 * np.pi * vibrato_hz * time_s))
            pitch *= 2 ** (-slide * np.exp(-4 * time_s / length_s))
        note = oscillator(axes, pitch, falling_harmonics(axes, pitch_hz, exponent))
        note *= loudness * envelope
        return note

    return play


def _drum(moment: Generator, axes: Axes, *, deep: bool) -> Signal:
    """Return one blow of a bass drum with a falling pitch, or of a shaker."""
    time_s = axes.time_s[: axes.sample_rate_hz // 5]
    skin: Signal = np.sin(2 * np.pi * (60 * time_s - 4 * np.exp(-time_s / 0.03))) * np.exp(
        -time_s / 0.06
    )
    rattle: Signal = moment.standard_normal(len(time_s), dtype=np.float32) * np.exp(-time_s / 0.025)
    return skin if deep else rattle


SOUNDS: dict[str, Sound] = {
    sound.__name__: sound for sound in (dog_bark, drilling, engine_idling, siren, street_music)
}
"""Sound of each class, in the order of the class indices."""
