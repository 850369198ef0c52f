"""How much a random split flatters: the same configuration, fitted and judged on one and on a split of recordings."""

from typing import Any

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

_NUM_FOLDS = 5
"""Parts of a split by recordings, where the dataset's own is none."""

RANDOM, RECORDING = "audit_random", "audit_recording"


def audit_parts(clips: LabeledClips, seed: int) -> dict[str, SplitRows]:
    """The two splits, with as many clips held out in each; none where recordings are not known, or too few.

    Args:
        clips: All labeled clips.
        seed: Of the random split.
    """
    originals = np.flatnonzero(~clips.only_trains)
    if len(set(clips.recordings[originals])) == len(originals):
        return {}
    by_recording = dataset_split(clips)
    if set(clips.recordings[by_recording.train]) & set(clips.recordings[by_recording.validation]):
        num_folds = min(_NUM_FOLDS, fewest_groups(clips))
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
    clips: LabeledClips, parts: dict[str, SplitRows], predictions: dict[str, np.ndarray | None]
) -> dict[str, Any]:
    """What the two networks heard, and a sentence on it.

    Args:
        clips: All labeled clips.
        parts: Of `audit_parts`.
        predictions: Probabilities `[N, K]` for the validation clips of each.
    """
    if not parts:
        return {"sentence": "leakage audit: not possible, as recordings are not known, or too few"}
    accuracy = {
        name: float((said.argmax(axis=1) == clips.class_indices[parts[name].validation]).mean())
        for name, said in predictions.items()
        if said is not None and name in parts
    }
    if len(accuracy) < len(parts):
        return {
            "sentence": "leakage audit: not possible, as the loss of a training did not stay finite"
        }
    return {
        "random_split_accuracy": accuracy[RANDOM],
        "recording_split_accuracy": accuracy[RECORDING],
        "difference": accuracy[RANDOM] - accuracy[RECORDING],
        "num_clips": len(parts[RANDOM].validation),
        "sentence": (
            f"leakage audit: the same classifier scores {accuracy[RANDOM]:.3f} where clips of one recording are in "
            f"both training and test (a random split), and {accuracy[RECORDING]:.3f} on recordings it never heard. "
            f"The second figure, from {len(parts[RECORDING].validation)} clips, is the one to go by: "
            + (
                "the first counts remembering as hearing."
                if accuracy[RANDOM] > accuracy[RECORDING]
                else "here nothing was gained by remembering, as on clips that are easy to hear, or few."
            )
        ),
    }
