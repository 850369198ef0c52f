"""What a training asks of its judge: the generator's clips, beside real ones, as the classifier hears them.

The classifier sits in a process of its own, an actor with the methods of freqquest.cnn.judge.Judge.
"""

from typing import Any

import numpy as np
import ray

from freqquest.cgan.realism import ClassifierOutputs, RealClips, RealismMetrics, floor, judge
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.storage import Location

_MOST_REAL_CLIPS = 4_000
"""Of each split; more would make the figures no surer."""


class RealismEvaluator:
    """Hears generated clips, and has heard the dataset's real ones."""

    def __init__(self, judge: Any, dataset: Location, manifest: Manifest) -> None:
        """Have the real clips heard.

        Raises:
            UserError: The dataset has no validation clips, or a shard is damaged.
        """
        self._judge, self._rate = judge, manifest.clip.sample_rate_hz
        held_out, training = (
            self._hear_split(dataset, manifest, split) for split in ("validation", "train")
        )
        self._real = RealClips(held_out, training, manifest.classes)

    def judge(self, waveforms: np.ndarray, class_indices: np.ndarray) -> RealismMetrics:
        """Figures of generated clips `[N, S]`, meant to be of the classes `[N]`."""
        heard = ray.get(self._judge.classify_waveforms.remote(waveforms, self._rate))
        return judge(
            ClassifierOutputs(
                probabilities=heard[0], features=heard[1], class_indices=class_indices
            ),
            self._real,
        )

    def floor(self, num_clips: int) -> RealismMetrics:
        """The same figures of real clips, for so many of each class."""
        return floor(self._real, num_clips)

    def _hear_split(self, dataset: Location, manifest: Manifest, split: str) -> ClassifierOutputs:
        originals = (
            read_rows(dataset, manifest, split)["augmentation"] == NOT_AUGMENTED
        ).to_numpy()
        heard, classes, seen, kept = [], [], 0, 0
        for shard in SplitReader(dataset, manifest, split, "cnn").shards():
            rows = np.flatnonzero(originals[seen : seen + len(shard.clip_ids)])
            if len(rows):  # a shard may hold nothing but varied copies
                heard.append(
                    ray.get(self._judge.classify_spectrograms.remote(shard.spectrograms[rows]))
                )
                classes.append(shard.class_indices[rows])
            seen, kept = seen + len(shard.clip_ids), kept + len(rows)
            if kept >= _MOST_REAL_CLIPS:
                break
        probabilities, features = (np.concatenate(parts) for parts in zip(*heard, strict=True))
        return ClassifierOutputs(
            probabilities=probabilities, features=features, class_indices=np.concatenate(classes)
        )
