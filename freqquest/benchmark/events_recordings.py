"""Recordings made of clips with noise between them, and what is where in them.

NumPy and pandas; no Ray, no Keras. Shapes: S samples.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.audio.negative_clips import NOISE_EXPONENTS, noise, scaled
from freqquest.detection.references import REFERENCE_COLUMNS

_MAX_PER_SOURCE = 6
"""Most clips of one source, so that none dominates."""

_NUM_CLIPS = 25
"""Clips of a recording, about four minutes with the gaps."""

_GAPS_S = 2.0, 8.0
"""Shortest and longest gap before each clip, and after the last one."""

_LEVELS_DB = -60.0, -35.0
"""Lowest and highest level of the noise, in dB relative to full scale, root mean square."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sound:
    """A clip as long as it is, without padding."""

    waveform: np.ndarray
    """`[S]`, full scale 1.0."""
    label: str
    source: str
    """Recording that the clip was cut from."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MadeRecording:
    """A recording, and what is where in it."""

    name: str
    waveform: np.ndarray
    """`[S]`, float32."""
    references: pd.DataFrame
    """Table with REFERENCE_COLUMNS: the extent of each clip."""
    color: str
    """Color of the noise, a key of NOISE_EXPONENTS."""
    level_db: float
    """Level of the noise."""


def make_recordings(
    sounds: Sequence[Sound], sample_rate_hz: int, seed: int
) -> Iterator[MadeRecording]:
    """Yield recordings: clips in random order, gaps, and noise that runs through all of it.

    A recording has noise of one color, in turn, and of a random level. Its samples are clipped at
    full scale.

    Args:
        sounds: Clips; at most six of each source are used.
        sample_rate_hz: Sample rate of the clips and the recordings.
        seed: Seed of the choice, the order, the gaps and the noise.
    """
    rng = np.random.default_rng(seed)
    chosen = _choose(sounds, rng)
    colors = list(NOISE_EXPONENTS)
    parts = np.array_split(np.array(chosen), max(1, round(len(chosen) / _NUM_CLIPS)))
    for number, part in enumerate(parts):
        name, color = f"recording_{number:02}.wav", colors[number % len(colors)]
        level_db = rng.uniform(*_LEVELS_DB)
        joined, references = _join([sounds[index] for index in part], name, sample_rate_hz, rng)
        background = noise(rng, len(joined), sample_rate_hz, NOISE_EXPONENTS[color])
        waveform = np.clip(joined + scaled(background, level_db), -1, 1)
        yield MadeRecording(
            name=name,
            waveform=waveform.astype(np.float32),
            references=references,
            color=color,
            level_db=level_db,
        )


def noise_only(references: pd.DataFrame, durations_s: Mapping[str, float]) -> pd.DataFrame:
    """Return the stretches of recordings without a sound: a table of path, start_s and end_s."""
    rows = []
    for path, duration_s in durations_s.items():
        of_path = references[references["path"] == path].sort_values("start_s")
        starts = [0.0, *of_path["end_s"]]
        rows += [
            (path, start_s, end_s)
            for start_s, end_s in zip(starts, [*of_path["start_s"], duration_s], strict=True)
            if end_s > start_s
        ]
    return pd.DataFrame(rows, columns=["path", "start_s", "end_s"])


def _choose(sounds: Sequence[Sound], rng: np.random.Generator) -> list[int]:
    """Return clips in random order, at most a number of each source."""
    taken = Counter[str]()
    chosen = []
    for index in rng.permutation(len(sounds)).tolist():
        source = sounds[index].source
        if taken[source] < _MAX_PER_SOURCE:
            taken[source] += 1
            chosen.append(index)
    return chosen


def _join(
    sounds: Sequence[Sound], name: str, sample_rate_hz: int, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the clips with silent gaps as one waveform `[S]`, and their references."""
    gaps = np.round(rng.uniform(*_GAPS_S, len(sounds) + 1) * sample_rate_hz).astype(int)
    waveform = np.zeros(sum(len(sound.waveform) for sound in sounds) + gaps.sum())
    rows, end = [], 0
    for sound, gap in zip(sounds, gaps[:-1], strict=True):
        start, end = end + gap, end + gap + len(sound.waveform)
        waveform[start:end] = sound.waveform
        rows.append((name, start / sample_rate_hz, end / sample_rate_hz, sound.label))
    return waveform, pd.DataFrame(rows, columns=list(REFERENCE_COLUMNS))
