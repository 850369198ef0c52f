import numpy as np
import pytest

from freqquest.cnn.abstention import coverage_curve, held_out_curve
from freqquest.errors import UserError

CONFIDENCE = np.linspace(0.99, 0.2, 80)
IS_RIGHT = np.arange(80) < 60  # the surest 60 answers


def test_precision_falls_as_more_clips_get_an_answer():
    points = coverage_curve(CONFIDENCE, IS_RIGHT, num_clips=100).points
    coverages = [point.coverage for point in points]
    assert coverages == pytest.approx(np.arange(10, 81) / 100)
    assert points[0].precision == points[50].precision == 1
    assert points[-1].precision == 0.75
    assert points[-1].threshold == pytest.approx(0.1)


def test_the_threshold_answers_the_most_clips_with_the_precision():
    curve = coverage_curve(CONFIDENCE, IS_RIGHT, num_clips=80)
    threshold = curve.threshold_for(0.8)
    assert CONFIDENCE[75] < threshold < CONFIDENCE[74]
    assert IS_RIGHT[:75].mean() == 0.8
    assert CONFIDENCE[60] < curve.threshold_for(1.0) < CONFIDENCE[59]


def test_a_precision_that_is_not_reached_is_refused_with_the_highest_one():
    curve = coverage_curve(CONFIDENCE, np.arange(80) % 10 > 0, num_clips=80)
    with pytest.raises(
        UserError,
        match=r"`precision=0.99` is not reached .* the highest is 0.900, with answers for 100% of "
        "the clips; ask for at most 0.9",
    ):
        curve.threshold_for(0.99)
    assert curve.threshold_for(0.9) < CONFIDENCE[-1]


def test_a_few_sure_clips_prove_no_precision():
    is_right = np.arange(80) < 5  # the surest five answers
    with pytest.raises(UserError, match="the highest is 0.500, with answers for 12% of the clips"):
        coverage_curve(CONFIDENCE, is_right, num_clips=80).threshold_for(1.0)
    assert len(coverage_curve(CONFIDENCE[:4], is_right[:4], num_clips=4).points) == 1


def test_clips_of_equal_confidence_get_an_answer_together():
    curve = coverage_curve(np.full(40, 0.5), np.arange(40) < 20, num_clips=40)
    assert curve.points == [(0.25, 1.0, 0.5)]


def test_a_curve_of_many_clips_is_short_and_has_both_ends():
    confidence = np.random.default_rng(0).random(5_000)
    points = coverage_curve(confidence, confidence > 0.5, num_clips=5_000).points
    assert len(points) == 200
    assert (points[0].coverage, points[-1].coverage) == (0.002, 1.0)


def test_answers_for_background_are_wrong_and_background_as_an_answer_is_none():
    probabilities = np.eye(3)[[0] * 20 + [1] * 10 + [2] * 10] * 0.9 + 0.03
    labels = np.eye(3, dtype=bool)[[0] * 20 + [2] * 5 + [1] * 5 + [2] * 10]
    (point,) = held_out_curve(probabilities, labels, background_index=2).points
    assert (point.coverage, point.precision) == (30 / 40, 25 / 30)
    (point,) = held_out_curve(probabilities, labels).points
    assert (point.coverage, point.precision) == (1.0, 35 / 40)


def test_a_classifier_that_takes_everything_for_background_is_refused():
    everything = np.tile([0.1, 0.9], (20, 1))
    curve = held_out_curve(everything, np.eye(2, dtype=bool)[[0, 1] * 10], background_index=1)
    assert curve.coverage_for(0.5) == 0
    with pytest.raises(UserError, match="it answered no held-out clip, but took all of them for"):
        curve.threshold_for(0.5)
