"""The clips on which an exported classifier is compared with the one that it was made from.

No Ray. Shapes: N clips, S samples, M mel bands, T frames, K classes.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.audio.clip import ClipConfig
from freqquest.audio.demo_recording import record
from freqquest.audio.demo_signals import make_axes
from freqquest.audio.demo_sounds import SOUNDS
from freqquest.audio.waveform import fit_waveform
from freqquest.cnn.judge import require_classes, require_view
from freqquest.cnn.model_card import ModelCard
from freqquest.dataset.load_clip import open_clips
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest, load_manifest
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.storage import Location

_MAX_CLIPS = 1_000
"""Most validation clips that are compared, spread over the split."""

_NUM_CALIBRATION_CLIPS = 256

_MAX_VALUES = 2**27
"""Most samples, or values of spectrograms, that are in memory at once; long clips are fewer."""

_DEMO_CLIPS_PER_CLASS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledWaveforms:
    """Clips to compare two models on."""

    waveforms: list[np.ndarray]
    """N waveforms `[S]`."""
    labels: np.ndarray | None
    """True labels `[N, K]`, bool; None if the model does not know the classes."""
    source: str
    """Name of the clips."""


def open_dataset(dataset: Location, card: ModelCard, source: str) -> Manifest:
    """Return the manifest of the dataset that a classifier was made from.

    Raises:
        UserError: It is not usable, or has other classes, clips or spectrograms.
    """
    manifest = load_manifest(dataset)
    require_classes(card, manifest.classes, source)
    require_view(card, manifest, source)
    return manifest


def validation_clips(dataset: Location, manifest: Manifest, card: ModelCard) -> LabeledWaveforms:
    """Return the validation clips of a dataset whose audio files can be read; maybe none."""
    rows = read_rows(dataset, manifest, "validation")
    rows = rows[rows["augmentation"] == NOT_AUGMENTED]
    num_clips = min(len(rows), _MAX_CLIPS, max(1, _MAX_VALUES // card.clip.num_samples))
    rows = rows.iloc[np.linspace(0, len(rows) - 1, num_clips).round().astype(int)]
    is_read, waveforms = np.zeros(len(rows), bool), []
    for number, waveform in _readable(rows, card.clip):
        is_read[number] = True
        waveforms.append(waveform)
    labels = np.zeros((len(rows), len(card.classes)), bool)
    for number, indices in enumerate(rows["class_indices"]):
        labels[number, [card.classes.index(manifest.classes[index]) for index in indices]] = True
    heard = ", which the classifier was trained on too" if card.has_heard_validation_clips else ""
    return LabeledWaveforms(
        waveforms=waveforms,
        labels=labels[is_read],
        source=f"{len(waveforms)} validation clips{heard}",
    )


def _readable(rows: pd.DataFrame, config: ClipConfig) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the waveform `[S]` of each row whose audio file can be read."""
    places = zip(rows["path"], rows["start_s"], rows["end_s"], strict=True)
    for number, (path, start_s, end_s) in enumerate(places):
        part = float(start_s), None if pd.isna(end_s) else float(end_s)
        try:
            (clip,) = open_clips([(path, part)], config)
        except (FileNotFoundError, PermissionError):  # the folder of the clips is gone
            continue
        if not isinstance(clip, str):
            yield number, clip.waveform


def demo_clips(config: ClipConfig) -> LabeledWaveforms:
    """Return synthesized clips of city sounds, whose classes mean nothing to the classifier."""
    axes, waveforms = make_axes(ClipConfig().sample_rate_hz, ClipConfig().duration_s), []
    for name in SOUNDS:
        for number in range(_DEMO_CLIPS_PER_CLASS):
            rng = np.random.default_rng([zlib.crc32(name.encode()), number])
            sound = record(name, rng, rng, axes)
            waveforms.append(fit_waveform(sound, axes.sample_rate_hz, config))
    return LabeledWaveforms(waveforms=waveforms, labels=None, source=f"{len(waveforms)} demo clips")


def calibration_spectrograms(dataset: Location, manifest: Manifest) -> np.ndarray:
    """Return spectrograms `[N, M, T]` of training clips, drawn at random."""
    split, view = SplitReader(dataset, manifest, "train", "cnn"), manifest.views["cnn"]
    fitting = max(1, _MAX_VALUES // (view.num_mels * view.num_frames))
    num_clips = min(len(split), _NUM_CALIBRATION_CLIPS, fitting)
    drawn = np.random.default_rng(0).choice(len(split), num_clips, replace=False)
    found, start = [], 0
    for shard in split.shards():
        end = start + len(shard.spectrograms)
        found.append(shard.spectrograms[np.sort(drawn[(start <= drawn) & (drawn < end)]) - start])
        start = end
    return np.concatenate(found)
