"""Augmentation of training clips: pitch, speed, level, position in time, background noise.

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
"""Names in the order of application. Noise comes last, to fill the silence that a shift leaves."""

MAX_PITCH_SEMITONES = 2.0
"""Largest pitch shift, up or down; the speed stays."""

MAX_SPEED_CHANGE = 1.25
"""Largest factor of a speed change, faster or slower; the pitch stays.

Below half speed, the stretcher draws phases from a generator of its own, which cannot be seeded.
"""

MIN_GAIN_DB, MAX_GAIN_DB = -12.0, 6.0
"""Range of a level change. Real recordings are quieter far more often than louder."""

MAX_SHIFT = 0.25
"""Largest shift, earlier or later, as a fraction of the clip; silence fills the gap."""

SHIFT_FADE_S = 0.005
"""Fade between a shifted clip and the silence, in seconds; without it there would be a click."""

MIN_SNR_DB, MAX_SNR_DB = 5.0, 30.0
"""Range of the signal-to-noise ratio."""

MIN_NOISE_SLOPE_DB, MAX_NOISE_SLOPE_DB = -3.0, 0.0
"""Range of the noise's slope, in dB per octave: from pink (wind, traffic) to white (hiss)."""

_Transform = Callable[[np.ndarray, int], np.ndarray]


def augment_waveform(
    waveform: np.ndarray,
    sample_rate_hz: int,
    names: Sequence[AugmentationName],
    seed: Sequence[int] | int,
) -> np.ndarray:
    """Return a copy of a waveform, changed by each named augmentation by a random amount.

    The same arguments give the same samples in any process, whatever ran before. Each amount
    depends only on the seed and its own name, not on the other names or their order. Not
    thread-safe: the library draws from the process's global generators, which are restored.

    Args:
        waveform: `[S]`, full scale 1.0.
        sample_rate_hz: Sample rate of the waveform.
        names: Augmentations, in any order; repeated names count once.
        seed: Integers, 0 or more.

    Returns:
        `[S]`, float32. Nothing is clipped, so samples may exceed full scale.

    Raises:
        ValueError: A name is unknown.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(
                f"augmentation {name!r} is unknown: it must be one of {', '.join(AUGMENTATIONS)}"
            )
    varied = np.array(waveform, np.float32)
    for name in AUGMENTATIONS:
        if name in names:
            with _global_generators_seeded(seed, name):
                varied = _transforms()[name](varied, sample_rate_hz)
    return varied


@contextmanager
def _global_generators_seeded(seed: Sequence[int] | int, name: str) -> Iterator[None]:
    """Seed the global generators of Python and NumPy, and restore them afterwards.

    audiomentations uses no others.
    """
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
    """Return each augmentation as a function of a waveform `[S]` and its rate in Hz.

    The library is imported here because it takes a second to load.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns of an invalid escape in one of its docstrings when it compiles it.
        warnings.simplefilter("ignore")
        import audiomentations as am

    return {
        # Unlike librosa's phase vocoder, Signalsmith's stretcher keeps the level of noisy sounds
        # and compiles nothing when a process starts.
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
