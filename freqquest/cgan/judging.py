"""Evaluation of a generator's clips by a judge, beside the dataset's real clips. No Ray, no torch.

The judge is a classifier in another process. Shapes: N clips, S samples, M mel bands, T frames,
K classes, L labels of clips, D features.
"""

from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from freqquest.cgan.evaluation import Evaluation
from freqquest.cgan.judged_clips import ClassifierOutputs
from freqquest.cgan.real_clips import CLASSIFIER, RealClips, Space, embedding_space
from freqquest.cgan.realism import measure_real_baseline, measure_realism
from freqquest.dataset.clip_inputs import Inputs, join
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.storage import Location

_MAX_REAL_CLIPS = 4_000
"""Maximum number of clips of each split; more would not make the metrics more certain."""


class Judge(Protocol):
    """Classifier that scores clips; see `freqquest.cnn.judge`.

    Both methods return probabilities `[N, K]`, in order of the dataset's classes, and features
    `[N, D]`.
    """

    @property
    def thresholds(self) -> np.ndarray | None:
        """Probability `[K]` from which a clip has a class; None if it has the most probable one."""

    @property
    def by_embedding(self) -> "Judge | None":
        """A second judge, whose features are the dataset's vectors; None without an embedding."""

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classify waveforms `[N, S]`."""

    def classify_inputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Classify a dataset's clips in its view `cnn`, with their vectors if it has any."""


class RealInputs(NamedTuple):
    """Original clips of a split, as the judge sees them."""

    inputs: Inputs
    """View `cnn` and vectors."""
    clip_numbers: np.ndarray
    """Clip of each label, `[L]`: a clip with several labels is a real clip of each."""
    class_indices: np.ndarray
    """Classes `[L]`."""
    rows: pd.DataFrame
    """Columns of each clip beside its spectrogram."""


class NearestClips(NamedTuple):
    """The real training clip nearest to each of some generated clips."""

    rows: pd.DataFrame
    """Its columns in the dataset."""
    distances: np.ndarray
    """Distances `[N]`, relative to those that held-out clips of the class usually have."""


def read_real_clips(dataset: Location, manifest: Manifest) -> tuple[RealInputs, RealInputs]:
    """Read the clips that generated ones are compared with, without augmented copies.

    Returns:
        Those held out, and those of the training.

    Raises:
        UserError: A shard is corrupt.
    """
    return _read_split(dataset, manifest, "validation"), _read_split(dataset, manifest, "train")


def _read_split(dataset: Location, manifest: Manifest, split: str) -> RealInputs:
    table = read_rows(dataset, manifest, split)
    is_original = (table["augmentation"] == NOT_AUGMENTED).to_numpy()
    clips, labels, num_seen, num_kept = [], [], 0, 0
    for shard in SplitReader(dataset, manifest, split, "cnn").shards():
        num_clips = len(shard.class_indices)
        rows = np.flatnonzero(is_original[num_seen : num_seen + num_clips])
        vectors = None if shard.vectors is None else shard.vectors[rows]
        clips.append(Inputs(shard.spectrograms[rows], vectors))
        labels.append(shard.labels[rows])
        num_seen, num_kept = num_seen + num_clips, num_kept + len(rows)
        if num_kept >= _MAX_REAL_CLIPS:
            break
    numbers, class_indices = np.nonzero(np.concatenate(labels))
    originals = table[is_original].iloc[:num_kept]
    return RealInputs(join(clips), numbers, class_indices, originals)


class RealismEvaluator:
    """Measures generated clips against the dataset's real ones, which the judge sees once."""

    def __init__(
        self,
        judge: Judge,
        manifest: Manifest,
        held_out: RealInputs,
        training: RealInputs,
    ) -> None:
        """Have the judge classify the real clips, those of `read_real_clips`."""
        rate_hz, classes = manifest.clip.sample_rate_hz, manifest.classes

        def hear(judge: Judge, space: Space) -> _Listener:
            outputs = _classify(judge, held_out), _classify(judge, training)
            return _Listener(judge, RealClips(*outputs, classes, space), rate_hz)

        self._listeners = [hear(judge, CLASSIFIER)]
        if judge.by_embedding is not None:
            assert manifest.embedding is not None
            self._listeners.append(hear(judge.by_embedding, embedding_space(manifest.embedding)))
        self._training_rows = training.rows.iloc[training.clip_numbers]

    def evaluate(self, waveforms: np.ndarray, class_indices: np.ndarray) -> Evaluation:
        """Return the metrics of generated clips `[N, S]`, intended to be of the classes `[N]`."""
        return Evaluation(
            [
                measure_realism(listener.hear(waveforms, class_indices), listener.real)
                for listener in self._listeners
            ]
        )

    def real_baseline(self, num_clips: int) -> Evaluation:
        """Return the same metrics of real clips, for comparison with `num_clips` of each class."""
        return Evaluation(
            [measure_real_baseline(listener.real, num_clips) for listener in self._listeners]
        )

    def find_nearest(
        self, waveforms: np.ndarray, class_indices: np.ndarray
    ) -> tuple[np.ndarray, NearestClips]:
        """Return probabilities `[N, K]` of generated clips, and the training clip nearest to each.

        Both are by the classifier.

        Args:
            waveforms: `[N, S]`.
            class_indices: Classes `[N]` that they were made for.
        """
        listener = self._listeners[0]
        outputs, real = listener.hear(waveforms, class_indices), listener.real
        points = real.points(outputs)
        distances, numbers = real.nearest_ratios(points), real.nearest_numbers(points)
        return outputs.probabilities, NearestClips(self._training_rows.iloc[numbers], distances)


class _Listener(NamedTuple):
    """A judge, and the real clips as it hears them."""

    judge: Judge
    real: RealClips
    sample_rate_hz: int

    def hear(self, waveforms: np.ndarray, class_indices: np.ndarray) -> ClassifierOutputs:
        """Return the judge's outputs for generated clips `[N, S]` of the classes `[N]`."""
        probabilities, features = self.judge.classify_waveforms(waveforms, self.sample_rate_hz)
        return ClassifierOutputs(
            probabilities=probabilities,
            features=features,
            class_indices=class_indices,
            thresholds=self.judge.thresholds,
        )


def _classify(judge: Judge, clips: RealInputs) -> ClassifierOutputs:
    probabilities, features = judge.classify_inputs(clips.inputs)
    numbers = clips.clip_numbers
    outputs = ClassifierOutputs(
        probabilities=probabilities[numbers],
        features=features[numbers],
        class_indices=clips.class_indices,
        thresholds=judge.thresholds,
    )
    are_several = len(numbers) > len(clips.inputs.spectrograms)
    return replace(outputs, clip_numbers=numbers) if are_several else outputs
