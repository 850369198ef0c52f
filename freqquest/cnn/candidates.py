"""The classifiers that a run compares: the CNN, a head on the embedding, and their fusion.

NumPy; no Ray, no Keras. Shapes: N clips, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import Temperature
from freqquest.cnn.scores import Score
from freqquest.cnn.search.outcome import Outcome
from freqquest.runs.metrics import ClassifierKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A classifier, by its predictions of clips that it was not trained on."""

    kind: ClassifierKind
    rows: np.ndarray
    """Rows of the clips, `[N]`."""
    probabilities: np.ndarray
    """`[N, K]`, not calibrated."""
    fold_scores: list[float]
    head_temperature: Temperature = 1.0
    """Divisor of the logits of a fusion's head, which makes it as confident as the CNN."""


def cnn_candidate(best: Outcome) -> Candidate:
    """Return the CNN, as the chosen trial predicts."""
    rows, probabilities = best.predictions
    return Candidate(
        kind="cnn", rows=rows, probabilities=probabilities, fold_scores=best.fold_scores
    )


def head_candidate(
    of_splits: Sequence[np.ndarray], splits: Sequence[SplitRows], clips: LabeledClips
) -> Candidate:
    """Return the head, given its probabilities of the validation clips of each split."""
    probabilities = np.concatenate(of_splits)
    return Candidate(
        kind="embedding",
        rows=np.concatenate([split.validation for split in splits]),
        probabilities=probabilities,
        fold_scores=_fold_scores(probabilities, splits, clips),
    )


def fused_candidate(
    cnn: Candidate, head: Candidate, splits: Sequence[SplitRows], clips: LabeledClips
) -> Candidate:
    """Return the fusion of CNN and head, which have predicted the same clips."""
    assert np.array_equal(cnn.rows, head.rows)
    score, labels = clips.score, clips.labels[cnn.rows]
    of_cnn, of_head = (
        np.asarray(score.fit_temperature(each.probabilities, labels)) for each in (cnn, head)
    )
    head_temperature: Temperature = (of_head / of_cnn).tolist()
    probabilities = fuse(score, cnn.probabilities, head.probabilities, head_temperature)
    return Candidate(
        kind="fusion",
        rows=cnn.rows,
        probabilities=probabilities,
        fold_scores=_fold_scores(probabilities, splits, clips),
        head_temperature=head_temperature,
    )


def fuse(
    score: Score, of_cnn: np.ndarray, of_head: np.ndarray, head_temperature: Temperature
) -> np.ndarray:
    """Return the geometric mean `[N, K]` of both probabilities, equally confident ones."""
    return score.mean([of_cnn, score.apply_temperature(of_head, head_temperature)])


def choose_candidate(candidates: Sequence[Candidate], clips: LabeledClips) -> Candidate:
    """Return the fusion if its parts are equally good, as far as recordings can tell.

    That is, if their scores differ by no more than one standard error, where recordings, not clips,
    count as independent. Else return the candidate with the best score; of equal ones, the first.

    Args:
        candidates: CNN, head and fusion.
        clips: Clips that their rows refer to.
    """
    cnn, head, fusion = candidates
    score, labels = clips.score, clips.labels[cnn.rows]
    recordings = clips.recordings.codes[cnn.rows]
    lead, chance = score.lead(cnn.probabilities, head.probabilities, labels, recordings)
    if abs(lead) <= chance:
        return fusion
    return max(candidates, key=lambda each: score.compute(each.probabilities, labels))


def _fold_scores(
    probabilities: np.ndarray, splits: Sequence[SplitRows], clips: LabeledClips
) -> list[float]:
    ends = np.cumsum([len(split.validation) for split in splits])
    return [
        clips.score.compute(of_split, clips.labels[split.validation])
        for of_split, split in zip(np.split(probabilities, ends[:-1]), splits, strict=True)
    ]
