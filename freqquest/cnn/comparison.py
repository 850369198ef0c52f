"""Comparison of the classifiers of a run on the same held-out clips, and the choice of one.

Runs in the driver; heads are fitted in Ray tasks.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import ray

from freqquest.cluster.tasks import cancel_on_error
from freqquest.cnn.candidates import (
    Candidate,
    choose_candidate,
    cnn_candidate,
    fused_candidate,
    head_candidate,
)
from freqquest.cnn.heads import FittedHead, Head, fit_on_split
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.search.outcome import Outcome
from freqquest.cnn.tune_config import ClassifierChoice
from freqquest.runs.metrics import ClassifiersMetrics


class Comparison(NamedTuple):
    """The classifiers of a run, and the one that is kept."""

    best: Outcome | None
    """The chosen trial of the search; None without a CNN."""
    kept: Candidate
    heads: list[Head]
    """Heads that were fitted to the training clips of each split; none without an embedding."""
    metrics: ClassifiersMetrics | None
    """Scores of all; None if the CNN is the only one."""


def compare(
    choice: ClassifierChoice,
    best: Outcome | None,
    clips: LabeledClips,
    shared_clips: ray.ObjectRef,
    splits: Sequence[SplitRows],
) -> Comparison:
    """Evaluate the classifiers on the held-out clips, and choose one.

    Args:
        choice: Classifier to keep; auto keeps the best one.
        best: The chosen trial; None if there was no search.
        clips: All labeled clips.
        shared_clips: The same clips in Ray's object store.
        splits: The splits that the trial was trained and evaluated on.
    """
    candidates = [] if best is None else [cnn_candidate(best)]
    if choice == "cnn":
        return Comparison(best, candidates[0], [], None)
    fitted = fit_heads(shared_clips, splits)
    head = head_candidate([each.probabilities for each in fitted], splits, clips)
    candidates += [head, *(fused_candidate(cnn, head, splits, clips) for cnn in candidates)]
    wanted = [each for each in candidates if each.kind == choice]
    kept = wanted[0] if wanted else choose_candidate(candidates, clips)
    scores = {
        each.kind: clips.score.compute(each.probabilities, clips.labels[each.rows])
        for each in candidates
    }
    metrics: ClassifiersMetrics = {
        "kept": kept.kind,
        "is_chosen": not wanted,
        "scores": scores,
        "scores_by_fold": {each.kind: each.fold_scores for each in candidates},
    }
    return Comparison(best, kept, [each.head for each in fitted], metrics)


def fit_heads(shared_clips: ray.ObjectRef, splits: Iterable[SplitRows]) -> list[FittedHead]:
    """Fit a head to the training clips of each split, side by side."""
    remote_fit = ray.remote(num_cpus=1)(fit_on_split)
    tasks = [remote_fit.remote(shared_clips, split) for split in splits]
    with cancel_on_error(tasks):
        fitted: list[FittedHead] = ray.get(tasks)
    return fitted
