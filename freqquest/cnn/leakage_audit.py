"""Leakage audit: how much a random split overstates the score on unseen recordings.

The same configuration is trained and evaluated on a random split and on a split by recordings.
NumPy and scikit-learn; no Ray.
"""

from collections.abc import Mapping
from typing import cast

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
from freqquest.dataset.stratify import count_labels, divide_groups
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
    recordings = clips.recordings.codes
    if len(np.unique(recordings[originals])) == len(originals):
        return {}
    by_recording = dataset_split(clips)
    if np.isin(recordings[by_recording.train], recordings[by_recording.validation]).any():
        num_folds = min(_NUM_FOLDS, fewest_groups(clips)[0])
        if num_folds < 2:
            return {}
        by_recording = cross_validation(clips, num_folds, seed)[0]
    held_out = _draw_clips(clips, originals, len(by_recording.validation), seed)
    return {RANDOM: hold_out(clips, held_out), RECORDING: by_recording}


def _draw_clips(
    clips: LabeledClips, originals: np.ndarray, num_clips: int, seed: int
) -> np.ndarray:
    """Draw this many clips, about the same share of each label, without regard to recordings."""
    if clips.has_several_labels:  # which scikit-learn cannot stratify
        counts = count_labels(*np.nonzero(clips.labels[originals]))
        share = num_clips / len(originals)
        drawn: np.ndarray = originals[divide_groups(counts, [1 - share, share], seed) == 1]
    else:
        _, drawn = train_test_split(
            originals,
            test_size=num_clips,
            stratify=clips.class_indices[originals],
            random_state=seed,
        )
    return drawn


def audit_report(
    clips: LabeledClips,
    splits: Mapping[str, SplitRows],
    predictions: Mapping[str, np.ndarray | None],
) -> AuditMetrics:
    """Compare the scores of the two networks, in numbers and in a sentence.

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
    score = clips.score
    scores = {
        name: score.compute(probabilities, clips.labels[splits[name].validation])
        for name, probabilities in predictions.items()
        if probabilities is not None and name in splits
    }
    if len(scores) < len(splits):
        return {"sentence": "leakage audit: not possible, because a training diverged"}
    num_clips = len(splits[RECORDING].validation)
    metrics = {
        f"random_split_{score.name}": scores[RANDOM],
        f"recording_split_{score.name}": scores[RECORDING],
        "difference": scores[RANDOM] - scores[RECORDING],
        "num_clips": num_clips,
        "sentence": _describe(clips, scores[RANDOM], scores[RECORDING], num_clips),
    }
    return cast(AuditMetrics, metrics)


def _describe(clips: LabeledClips, random: float, recording: float, num_clips: int) -> str:
    verb = f"reaches a {clips.score.title} of" if clips.has_several_labels else "scores"
    conclusion = (
        "the first includes memorized recordings"
        if random > recording
        else "here memorized recordings made no difference, as with easy or few clips"
    )
    return (
        f"leakage audit: the same classifier {verb} {random:.3f} on a random split, where training "
        f"and test share recordings, and {recording:.3f} on unseen recordings. Trust the second "
        f"number, from {num_clips} clips: {conclusion}."
    )
