"""Varied copies of a clip for training: another pitch, speed, level, position, or noise behind it.

audiomentations does the work; no Ray, no deep-learning framework. Shapes: S samples.
"""

import functools
import random
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np

AugmentationName = Literal["pitch", "speed", "gain", "shift", "noise"]

AUGMENTATIONS: tuple[AugmentationName, ...] = get_args(AugmentationName)
"""In the order they are applied: noise comes last, so that it also fills the silence a shift leaves."""

MAX_PITCH_SEMITONES = 2.0
"""Pitch is shifted by up to this much, up or down; the speed stays."""

MAX_SPEED_CHANGE = 1.25
"""Speed is changed by up to this factor, faster or slower; the pitch stays.

Below half speed the stretcher randomizes phases from a generator of its own, and copies could not be repeated.
"""

MIN_GAIN_DB, MAX_GAIN_DB = -12.0, 6.0
"""Change of level; more room below, as real recordings are quieter far more often than louder."""

MAX_SHIFT = 0.25
"""A clip is moved by up to this fraction of its length, earlier or later; silence fills the gap."""

SHIFT_FADE_S = 0.005
"""Fade where a shifted clip meets the silence, in seconds: without it there would be a click."""

MIN_SNR_DB, MAX_SNR_DB = 5.0, 30.0
"""Level of the clip over that of the noise."""

MIN_NOISE_SLOPE_DB, MAX_NOISE_SLOPE_DB = -3.0, 0.0
"""Color of the noise, in dB per octave: from pink, like wind and traffic, to white, like a microphone's hiss."""

_Transform = Callable[[np.ndarray, int], np.ndarray]


def vary(
    waveform: np.ndarray,
    sample_rate_hz: int,
    names: Sequence[AugmentationName],
    seed: Sequence[int] | int,
) -> np.ndarray:
    """A copy of a waveform that the named augmentations have changed, each by a random amount.

    The same arguments give the same samples, whatever ran before and in whatever process. Each amount depends on the
    seed and its own name alone, not on the other names or their order. Not for two threads at once: the library draws
    from the process's global generators, which are left as they were found.

    Args:
        waveform: `[S]`, full scale 1.0.
        sample_rate_hz: Its sample rate, in Hz.
        names: What to change, in any order; a name given twice counts once.
        seed: Whole numbers, 0 or more.

    Returns:
        `[S]`, float32. Samples may lie beyond full scale; nothing is clipped.

    Raises:
        ValueError: A name is unknown.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(
                f"augmentation {name!r} is unknown: choose from {', '.join(AUGMENTATIONS)}"
            )
    varied = np.array(waveform, np.float32)
    for name in AUGMENTATIONS:
        if name in names:
            with _global_generators_seeded(seed, name):
                varied = _transforms()[name](varied, sample_rate_hz)
    return varied


@contextmanager
def _global_generators_seeded(seed: Sequence[int] | int, name: str) -> Iterator[None]:
    """Seed Python's and NumPy's global generators, the only ones audiomentations uses, and restore them after."""
    numbers = [seed] if isinstance(seed, int) else seed
    mixed = int(np.random.SeedSequence([*numbers, zlib.crc32(name.encode())]).generate_state(1)[0])
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(mixed)
    np.random.seed(mixed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@functools.cache
def _transforms() -> Mapping[AugmentationName, _Transform]:
    """Each augmentation as a function of a waveform `[S]` and its rate in Hz, which always applies.

    Imported here, as the library takes a second to load.
    """
    with warnings.catch_warnings():
        # One of its docstrings has an invalid escape, of which Python 3.12 warns where the module is not yet compiled.
        warnings.simplefilter("ignore")
        import audiomentations as am

    return {
        # Signalsmith's stretcher: unlike librosa's phase vocoder, it keeps the level of noisy sounds,
        # and has nothing to compile when a process begins.
        "pitch": am.PitchShift(
            -MAX_PITCH_SEMITONES, MAX_PITCH_SEMITONES, method="signalsmith_stretch", p=1.0
        ),
        "speed": am.TimeStretch(
            1 / MAX_SPEED_CHANGE, MAX_SPEED_CHANGE, method="signalsmith_stretch", p=1.0
        ),
        "gain": am.Gain(MIN_GAIN_DB, MAX_GAIN_DB, p=1.0),
        "shift": am.Shift(-MAX_SHIFT, MAX_SHIFT, rollover=False, fade_duration=SHIFT_FADE_S, p=1.0),
        "noise": am.AddColorNoise(
            MIN_SNR_DB, MAX_SNR_DB, MIN_NOISE_SLOPE_DB, MAX_NOISE_SLOPE_DB, p=1.0
        ),
    }
