"""One training of the benchmark of events, and what the model hears in recordings of a held-out
fold.

A Ray task: Keras is imported inside the functions. Shapes: N clips, M mel bands, T frames, K
classes.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.negative_clips import negative_clips
from freqquest.audio.spectrogram import log_mel
from freqquest.benchmark.events_recordings import Sound, make_recordings
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.detection_thresholds import detection_thresholds, negative_inputs
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, append_names, hold_out
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.stratify import count_labels, divide_groups
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard, Predict, listen
from freqquest.detection.parts import join

BACKGROUND = "_background"
"""Class that is never an event."""

_INNER_SHARES = (0.8, 0.2)
"""Shares of the training clips that the network for thresholds is trained on and predicts."""

_BACKGROUND_COPIES = 8
"""Background clips of each kind and level."""

_BACKGROUND_SEED = 1000
"""Seed of the background clips. Those that thresholds are chosen on have 0."""

_RECORDINGS_SEED = 2000
"""Seed of the recordings, to which the training's is added."""

UNSEEN_COLOR = "brown"
"""Color of noise that no background class is trained on, although recordings have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardRecording:
    """A recording, and what the model heard in it."""

    name: str
    color: str
    level_db: float
    duration_s: float
    references: pd.DataFrame
    heard: Heard


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """The result of one training."""

    fold: str
    seed: int
    classes: tuple[str, ...]
    """K classes."""
    accuracy: float
    """Accuracy on the held-out fold's clips."""
    temperature: float
    thresholds: list[float]
    """Detection thresholds `[K]`."""
    recordings: list[HeardRecording]

    @property
    def has_background(self) -> bool:
        """True if the network has a background class."""
        return BACKGROUND in self.classes


def train_and_listen(
    clips: LabeledClips,
    cnn_config: CnnConfig,
    grid: Grid,
    fold: str,
    seed: int,
    max_epochs: int,
    has_background: bool,
) -> Listening:
    """Train on all folds but one, choose thresholds, and listen to recordings of that fold.

    As in a search, the model is trained on all training clips, and its temperature and thresholds
    are chosen on predictions of another network, which has not seen the recordings that it
    predicts. No held-out clip takes part.
    """
    from freqquest.cnn.average import average
    from freqquest.cnn.devices import Device, prepare
    from freqquest.cnn.network import predict_probabilities
    from freqquest.cnn.training import fit

    prepare(Device())
    test_rows = np.flatnonzero((clips.groups == fold) & ~clips.is_training_only)
    sounds = _load_sounds(clips, test_rows, grid.clip)
    if has_background:
        clips = _add_background(clips, _background_spectrograms(grid))
    outer = hold_out(clips, test_rows)
    outer = replace(outer, validation=outer.validation[:0])
    inner = _inner_split(clips, outer.train, seed)
    train = partial(fit, cnn_config, clips, max_epochs=max_epochs, seed=seed)
    predicted = predict_probabilities(
        train(split=inner), Inputs(clips.spectrograms[inner.validation])
    )
    truth, score = clips.labels[inner.validation], clips.score
    temperature = score.fit_temperature(predicted, truth)
    assert isinstance(temperature, float)
    model = average([train(split=outer)], temperature)
    predict = partial(predict_probabilities, model)
    tested = predict(Inputs(clips.spectrograms[test_rows]))
    return Listening(
        fold=fold,
        seed=seed,
        classes=clips.classes,
        accuracy=score.compute(tested, clips.labels[test_rows]),
        temperature=temperature,
        thresholds=detection_thresholds(
            score.apply_temperature(predicted, temperature),
            truth,
            predict(negative_inputs(Analysis(grid.clip, grid.view))),
        ),
        recordings=list(_listen(sounds, grid, predict, _RECORDINGS_SEED + seed)),
    )


def _load_sounds(clips: LabeledClips, rows: np.ndarray, config: ClipConfig) -> list[Sound]:
    """Return clips as long as they are."""
    sounds = []
    for row in rows:
        start_s, end_s = float(clips.start_s[row]), float(clips.end_s[row])
        end = None if np.isnan(end_s) else end_s
        clip = open_clip(clips.paths[row], config, start_s, end)
        length_s = (clip.duration_s if end is None else end) - start_s
        sounds.append(
            Sound(
                waveform=clip.waveform[: round(length_s * config.sample_rate_hz)],
                label=clips.classes[clips.class_indices[row]],
                source=clips.recordings[row],
            )
        )
    return sounds


def _background_spectrograms(grid: Grid) -> np.ndarray:
    """Return spectrograms `[N, M, T]` of noise of the other colors, hum and silence."""
    waveforms = negative_clips(grid.clip, _BACKGROUND_COPIES, _BACKGROUND_SEED)
    return np.stack(
        [
            log_mel(waveform, grid.view, grid.clip.sample_rate_hz).astype(np.float16)
            for kind, waveform in waveforms
            if kind != UNSEEN_COLOR
        ]
    )


def _add_background(clips: LabeledClips, spectrograms: np.ndarray) -> LabeledClips:
    """Append training clips `[N, M, T]` of one more class."""
    num_clips, num_classes = len(spectrograms), len(clips.classes)
    names = [f"{BACKGROUND} {number}" for number in range(num_clips)]
    labels = np.zeros((len(clips.labels) + num_clips, num_classes + 1), bool)
    labels[: len(clips.labels), :num_classes] = clips.labels
    labels[len(clips.labels) :, num_classes] = True
    return replace(
        clips,
        spectrograms=np.concatenate([np.asarray(clips.spectrograms), spectrograms]),
        class_indices=np.append(clips.class_indices, np.full(num_clips, num_classes)),
        labels=labels,
        is_training_only=np.append(clips.is_training_only, np.ones(num_clips, bool)),
        clip_ids=append_names(clips.clip_ids, names),
        recordings=append_names(clips.recordings, names),
        groups=append_names(clips.groups, names),
        is_validation=np.append(clips.is_validation, np.zeros(num_clips, bool)),
        paths=append_names(clips.paths, names),
        start_s=np.append(clips.start_s, np.zeros(num_clips)),
        end_s=np.append(clips.end_s, np.full(num_clips, np.nan)),
        classes=(*clips.classes, BACKGROUND),
    )


def _inner_split(clips: LabeledClips, train: np.ndarray, seed: int) -> SplitRows:
    """Hold out a fifth of the training rows, in whole recordings."""
    originals = train[~clips.is_training_only[train]]
    _, numbers = np.unique(np.asarray(clips.recordings[originals]), return_inverse=True)
    counts = count_labels(numbers, clips.class_indices[originals])
    parts = divide_groups(counts, _INNER_SHARES, seed)
    inner = hold_out(clips, originals[parts[numbers] == 1])
    return replace(inner, train=np.intersect1d(inner.train, train))


def _listen(
    sounds: list[Sound], grid: Grid, predict: Predict, seed: int
) -> Iterator[HeardRecording]:
    """Make recordings, and yield each with what the model hears in its file."""
    rate_hz, analysis = grid.clip.sample_rate_hz, Analysis(grid.clip, grid.view)
    with tempfile.TemporaryDirectory() as folder:
        for made in make_recordings(sounds, rate_hz, seed):
            file = Path(folder) / made.name
            soundfile.write(file, made.waveform, rate_hz, subtype="PCM_16")
            duration_s = len(made.waveform) / rate_hz
            units = range(grid.num_units(duration_s))
            heard = join(list(listen(str(file), duration_s, units, grid, predict, analysis)))
            yield HeardRecording(
                name=made.name,
                color=made.color,
                level_db=made.level_db,
                duration_s=duration_s,
                references=made.references,
                heard=heard,
            )
