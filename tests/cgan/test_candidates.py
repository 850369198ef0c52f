import numpy as np
import pytest

from freqquest.cgan.candidates import Candidates


def candidates(probabilities, features, thresholds=None):
    """Return candidates of the first of two classes, given its probabilities."""
    of_class = np.array(probabilities)
    return Candidates(
        class_index=0,
        probabilities=np.stack([of_class, 1 - of_class], axis=1),
        features=np.array(features, float)[:, None],
        thresholds=thresholds,
    )


def test_one_of_each_group_is_chosen_and_not_an_exception():
    features = [0, 0.1, 0.2, 5, 5.1, 5.2, 5.3, 5.4, 12]
    chosen = candidates([0.9] * 9, features).choose(2)
    assert features[chosen[0]] < 1
    assert 5 <= features[chosen[1]] < 6


def test_clips_that_are_not_recognized_are_not_chosen():
    chosen = candidates([0.9, 0.4, 0.6, 0.4, 0.7], [0, 1, 2, 3, 4]).choose(3)
    assert chosen.tolist() == [0, 2, 4]


def test_the_most_probable_fill_up_where_too_few_are_recognized():
    chosen = candidates([0.1, 0.4, 0.9, 0.2], [0, 1, 2, 3]).choose(3)
    assert chosen.tolist() == [1, 2, 3]


def test_thresholds_decide_for_clips_with_several_labels():
    several = candidates([0.4, 0.2, 0.6], [0, 1, 2], thresholds=np.array([0.3, 0.9]))
    assert several.are_recognized.tolist() == [True, False, True]


@pytest.mark.parametrize("count", [1, 3])
def test_equal_candidates_are_each_chosen_once(count):
    assert len(set(candidates([0.9] * 4, [1, 1, 1, 1]).choose(count))) == count
