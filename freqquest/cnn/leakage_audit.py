"""Leakage audit: how much a random split overstates the accuracy on unseen recordings.

The same configuration is trained and evaluated on a random split and on a split by recordings.
NumPy and scikit-learn; no Ray.
"""

from collections.abc import Mapping

import numpy as np
from sklearn.model_selection import train_test_split

from freqquest.cnn.labeled_clips import (
    LabeledClips,
    SplitRows,
    cross_validation,
    dataset_split,
    fewest_groups,
    hold_out,
)
from freqquest.runs.metrics import AuditMetrics

_NUM_FOLDS = 5
"""Folds of a split by recordings, if the dataset's own split is not one."""

RANDOM, RECORDING = "audit_random", "audit_recording"


def audit_splits(clips: LabeledClips, seed: int) -> dict[str, SplitRows]:
    """Return a random split and a split by recordings, with equally many clips held out.

    Args:
        clips: All labeled clips.
        seed: Seed of the splits.

    Returns:
        The splits by name; empty if recordings are unknown or too few.
    """
    originals = np.flatnonzero(~clips.is_training_only)
    if len(set(clips.recordings[originals])) == len(originals):
        return {}
    by_recording = dataset_split(clips)
    if set(clips.recordings[by_recording.train]) & set(clips.recordings[by_recording.validation]):
        num_folds = min(_NUM_FOLDS, fewest_groups(clips)[0])
        if num_folds < 2:
            return {}
        by_recording = cross_validation(clips, num_folds, seed)[0]
    _, held_out = train_test_split(
        originals,
        test_size=len(by_recording.validation),
        stratify=clips.class_indices[originals],
        random_state=seed,
    )
    return {RANDOM: hold_out(clips, held_out), RECORDING: by_recording}


def audit_report(
    clips: LabeledClips,
    splits: Mapping[str, SplitRows],
    predictions: Mapping[str, np.ndarray | None],
) -> AuditMetrics:
    """Compare the accuracy of the two networks, in numbers and in a sentence.

    Args:
        clips: All labeled clips.
        splits: The splits, as returned by `audit_splits`.
        predictions: Probabilities `[N, K]` for the validation clips of each split; None for a
            training that diverged.
    """
    if not splits:
        return {
            "sentence": "leakage audit: not possible, because recordings are unknown or too few"
        }
    accuracy = {
        name: float(
            (probabilities.argmax(axis=1) == clips.class_indices[splits[name].validation]).mean()
        )
        for name, probabilities in predictions.items()
        if probabilities is not None and name in splits
    }
    if len(accuracy) < len(splits):
        return {"sentence": "leakage audit: not possible, because a training diverged"}
    num_clips = len(splits[RANDOM].validation)
    return {
        "random_split_accuracy": accuracy[RANDOM],
        "recording_split_accuracy": accuracy[RECORDING],
        "difference": accuracy[RANDOM] - accuracy[RECORDING],
        "num_clips": num_clips,
        "sentence": _describe(accuracy[RANDOM], accuracy[RECORDING], num_clips),
    }


def _describe(random: float, recording: float, num_clips: int) -> str:
    conclusion = (
        "the first includes memorized recordings"
        if random > recording
        else "here memorized recordings made no difference, as with easy or few clips"
    )
    return (
        f"leakage audit: the same classifier scores {random:.3f} on a random split, where training "
        f"and test share recordings, and {recording:.3f} on unseen recordings. Trust the second "
        f"number, from {num_clips} clips: {conclusion}."
    )
