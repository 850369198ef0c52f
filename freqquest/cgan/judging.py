"""Evaluation of a generator's clips by a judge, beside the dataset's real clips. No Ray, no torch.

The judge is a classifier in another process. Shapes: N clips, S samples, M mel bands, T frames,
K classes, D features.
"""

from typing import Protocol

import numpy as np

from freqquest.cgan.realism import (
    ClassifierOutputs,
    RealClips,
    RealismMetrics,
    measure_real_baseline,
    measure_realism,
)
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

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classify waveforms `[N, S]`."""

    def classify_spectrograms(self, spectrograms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classify a dataset's clips in its view `cnn`, `[N, M, T]`."""


class RealismEvaluator:
    """Measures generated clips against the dataset's real ones, which the judge sees once."""

    def __init__(self, judge: Judge, dataset: Location, manifest: Manifest) -> None:
        """Have the judge classify the real clips.

        Raises:
            UserError: The dataset has no validation clips, or a shard is corrupt.
        """
        self._judge, self._sample_rate_hz = judge, manifest.clip.sample_rate_hz
        held_out, training = (
            self._classify_split(dataset, manifest, split) for split in ("validation", "train")
        )
        self._real = RealClips(held_out, training, manifest.classes)

    def evaluate(self, waveforms: np.ndarray, class_indices: np.ndarray) -> RealismMetrics:
        """Return the metrics of generated clips `[N, S]`, intended to be of the classes `[N]`."""
        probabilities, features = self._judge.classify_waveforms(waveforms, self._sample_rate_hz)
        outputs = ClassifierOutputs(
            probabilities=probabilities, features=features, class_indices=class_indices
        )
        return measure_realism(outputs, self._real)

    def real_baseline(self, num_clips: int) -> RealismMetrics:
        """Return the same metrics of real clips, for comparison with `num_clips` of each class."""
        return measure_real_baseline(self._real, num_clips)

    def _classify_split(
        self, dataset: Location, manifest: Manifest, split: str
    ) -> ClassifierOutputs:
        """Classify the clips of a split, without augmented copies."""
        is_original = (
            read_rows(dataset, manifest, split)["augmentation"] == NOT_AUGMENTED
        ).to_numpy()
        outputs, classes, num_seen, num_kept = [], [], 0, 0
        for shard in SplitReader(dataset, manifest, split, "cnn").shards():
            num_clips = len(shard.class_indices)
            rows = np.flatnonzero(is_original[num_seen : num_seen + num_clips])
            if len(rows):  # a shard may hold nothing but augmented copies
                outputs.append(self._judge.classify_spectrograms(shard.spectrograms[rows]))
                classes.append(shard.class_indices[rows])
            num_seen, num_kept = num_seen + num_clips, num_kept + len(rows)
            if num_kept >= _MAX_REAL_CLIPS:
                break
        probabilities, features = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        return ClassifierOutputs(
            probabilities=probabilities, features=features, class_indices=np.concatenate(classes)
        )
