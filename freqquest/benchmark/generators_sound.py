"""Level and flatness of generated clips beside real ones.

Shapes: N clips, S samples.
"""

from collections.abc import Iterable

import librosa
import numpy as np

from freqquest.cgan.generator import Generator
from freqquest.dataset.load_clip import waveform_if_readable
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest
from freqquest.dataset.read import read_rows
from freqquest.storage import Location

_NUM_CLIPS = 32
"""Generated clips of each class that are measured; half the real ones."""

_SEED = 3
"""Seed of these clips: none of those that a training judges by default."""

_FRAME = 1024
"""Samples of a frame, and twice its step."""

_FAINT = 1e-4
"""Power of frames, relative to the loudest, that do not count: they sound like silence."""

Sound = dict[str, tuple[float, float]]
"""Median level in dB and median flatness of the clips of each class."""


def of_training_clips(dataset: Location, manifest: Manifest) -> Sound:
    """Measure original training clips whose files are still there."""
    rows = read_rows(dataset, manifest, "train")
    rows = rows[rows["augmentation"] == NOT_AUGMENTED]
    sound = {}
    for label in manifest.classes:
        some = rows[rows["label"] == label].sample(frac=1, random_state=0)[: 2 * _NUM_CLIPS]
        waveforms = (
            waveform_if_readable(row["path"], manifest.clip, row["start_s"], row["end_s"])
            for row in some.to_dict("records")
        )
        sound[label] = _medians(each for each in waveforms if each is not None)
    return sound


def of_generator(file: Location) -> Sound:
    """Measure clips of a generator file."""
    generator = Generator.load(str(file))
    return {
        label: _medians(generator.generate(label, _NUM_CLIPS, seed=_SEED))
        for label in generator.classes
    }


def _medians(waveforms: Iterable[np.ndarray]) -> tuple[float, float]:
    measured = [(level_db(each), flatness(each)) for each in waveforms]
    level, flat = np.median(measured, axis=0)
    return float(level), float(flat)


def level_db(waveform: np.ndarray) -> float:
    """Return the root mean square of a waveform `[S]` in dB."""
    return float(10 * np.log10(np.square(waveform, dtype=np.float64).mean() + 1e-9))


def flatness(waveform: np.ndarray) -> float:
    """Return the spectral flatness of a waveform `[S]`: 1 for white noise, 0 for a tone.

    It is the geometric mean of the power spectrum, divided by its arithmetic mean; the median over
    the frames within 40 dB of the loudest.
    """
    stft = librosa.stft(waveform, n_fft=_FRAME, hop_length=_FRAME // 2, center=False)
    power = np.square(np.abs(stft))[2:]  # without the lowest bins, which hold offsets
    total = power.sum(axis=0)
    audible = power[:, total >= _FAINT * total.max()]
    return float(np.median(librosa.feature.spectral_flatness(S=audible, power=1)))
