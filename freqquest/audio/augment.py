"""Varied copies of a clip: pitch shift and speed change, as in recipe 1.

librosa's phase vocoder; no Ray, no deep-learning framework. Shapes: S samples.
"""

import numpy as np

from freqquest.audio.files import fit_length

MAX_PITCH_SEMITONES = 2.0
"""Pitch is shifted by up to this much, up or down."""

MAX_SPEED_CHANGE = 1.25
"""Speed is changed by up to this factor, faster or slower; pitch stays."""


def vary(waveform: np.ndarray, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of a waveform `[S]` with its pitch shifted and its speed changed, of the same length.

    The same generator state gives the same copy.
    """
    import librosa.effects as effects

    semitones = rng.uniform(-MAX_PITCH_SEMITONES, MAX_PITCH_SEMITONES)
    speed = float(np.exp(rng.uniform(-1, 1) * np.log(MAX_SPEED_CHANGE)))
    shifted = effects.pitch_shift(waveform, sr=sample_rate_hz, n_steps=semitones)
    return fit_length(effects.time_stretch(shifted, rate=speed), waveform.shape[0])
