import numpy as np
import pytest

from freqquest.cnn.candidates import (
    Candidate,
    choose_candidate,
    cnn_candidate,
    fuse,
    fused_candidate,
    head_candidate,
)
from freqquest.cnn.labeled_clips import SplitRows
from tests.cnn.conftest import make_clips, make_clips_of_several_labels
from tests.cnn.search.conftest import make_outcome

SPLITS = [SplitRows(train=np.arange(0), validation=rows) for rows in np.split(np.arange(32), 2)]


def sure(clips, is_right, confidence):
    """Probabilities of one label a clip that are right where told."""
    predicted = np.where(is_right, clips.class_indices, 1 - clips.class_indices)
    of_predicted = np.eye(2)[predicted]
    return of_predicted * confidence + (1 - of_predicted) * (1 - confidence)


def candidate(kind, clips, is_right, confidence=0.9):
    return Candidate(
        kind=kind,
        rows=np.arange(32),
        probabilities=sure(clips, is_right, confidence),
        fold_scores=[],
    )


def test_candidates_have_the_score_of_each_fold():
    clips = make_clips()
    is_right = np.arange(32) % 4 != 0
    is_right[16:] = True
    head = head_candidate(np.split(sure(clips, is_right, 0.9), 2), SPLITS, clips)
    assert head.fold_scores == [0.75, 1.0]
    assert head.rows.tolist() == list(range(32))
    cnn = cnn_candidate(make_outcome("best", np.ones(32, bool)))
    assert fused_candidate(cnn, head, SPLITS, clips).fold_scores == [1.0, 1.0]


def test_a_fusion_makes_both_parts_equally_confident_first():
    clips = make_clips()
    # Both are as often right; the head only claims to be surer, and would always win.
    cnn = candidate("cnn", clips, np.arange(32) % 4 != 0, confidence=0.75)
    head = candidate("embedding", clips, np.arange(32) % 4 != 1, confidence=0.999)
    fusion = fused_candidate(cnn, head, SPLITS, clips)
    assert fusion.head_temperature > 3
    disagree = np.arange(32) % 4 < 2
    np.testing.assert_allclose(fusion.probabilities[disagree], 0.5, atol=0.05)
    agreed = fusion.probabilities[~disagree].max(axis=1)
    np.testing.assert_allclose(agreed, 0.75, atol=0.05)


def test_a_fusion_of_several_labels_averages_the_logits_of_each():
    clips = make_clips_of_several_labels()
    score = clips.score
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.1, 0.9, (2, 32, 2))
    logits = [np.log(each / (1 - each)) for each in (first, second)]
    expected = 1 / (1 + np.exp(-(logits[0] + logits[1] / [1.0, 2.0]) / 2))
    np.testing.assert_allclose(fuse(score, first, second, [1.0, 2.0]), expected, atol=1e-5)


ALL = np.ones(32, bool)
QUARTER_WRONG, HALF_WRONG = np.arange(32) % 4 > 0, np.arange(32) % 4 > 1
"""One or two clips wrong of each recording."""
FIRST_WRONG, SECOND_WRONG = np.arange(32) >= 4, np.arange(32) // 4 != 1
"""All clips wrong of one recording."""


@pytest.mark.parametrize(
    ("are_right", "kept"),
    [
        ((ALL, QUARTER_WRONG, ALL), "cnn"),
        ((QUARTER_WRONG, ALL, ALL), "embedding"),
        ((QUARTER_WRONG, HALF_WRONG, ALL), "fusion"),
        ((FIRST_WRONG, SECOND_WRONG, FIRST_WRONG & SECOND_WRONG), "fusion"),
        ((ALL, FIRST_WRONG, QUARTER_WRONG), "fusion"),
    ],
)
def test_the_fusion_is_kept_if_chance_explains_which_part_is_better_else_the_best_score(
    are_right, kept
):
    clips = make_clips()
    candidates = [
        candidate(kind, clips, is_right)
        for kind, is_right in zip(("cnn", "embedding", "fusion"), are_right, strict=True)
    ]
    assert choose_candidate(candidates, clips).kind == kept
