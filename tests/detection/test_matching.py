"""Pairs of detected and annotated events."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from freqquest.detection.matching import count_pairs


def times(*pairs):
    return np.array(pairs, float).reshape(-1, 2)


@pytest.mark.parametrize(
    ("onset_s", "is_right"), [(0.8, True), (1.2, True), (0.7998, False), (1.2002, False)]
)
def test_an_onset_may_be_a_collar_away(onset_s, is_right):
    assert count_pairs(times((onset_s, 2)), times((1, 2)), 0.2, 0.2) == is_right


@pytest.mark.parametrize(
    ("reference", "offset_s", "is_right"),
    [
        ((0, 0.5), 0.7, True),  # the collar, as a fifth of the length is less
        ((0, 0.5), 0.71, False),
        ((0, 10), 12, True),  # a fifth of the length
        ((0, 10), 12.01, False),
        ((0, 10), 8, True),
        ((0, 10), 7.99, False),
        ((0, 1.4), 1.68, True),  # 0.2 * 1.4 is less than 0.28
        ((1, 4.5), 5.2, True),
    ],
)
def test_an_offset_may_be_a_collar_or_a_fifth_of_the_reference_s_length_away(
    reference, offset_s, is_right
):
    events = times((reference[0], offset_s))
    assert count_pairs(events, times(reference), 0.2, 0.2) == is_right
    assert count_pairs(events, times(reference), 0.2, None) == 1


def test_each_event_and_each_reference_is_in_one_pair_at_most():
    one, two = times((1, 2)), times((1, 2), (1, 2))
    assert count_pairs(two, one, 0.2, 0.2) == 1
    assert count_pairs(one, two, 0.2, 0.2) == 1
    assert count_pairs(two, two, 0.2, 0.2) == 2


def test_an_event_over_two_references_is_paired_with_none_of_them_unless_offsets_do_not_count():
    over, references = times((1, 3)), times((1, 2), (2, 3))
    assert count_pairs(over, references, 0.2, 0.2) == 0
    assert count_pairs(over, references, 0.2, None) == 1


def test_the_number_of_pairs_is_the_largest_possible_where_the_nearest_first_gives_fewer():
    # 1.1 is nearer to 1.0, but 0.9 has only that.
    events, references = times((0.9, 2), (1.1, 2)), times((1.0, 2), (1.25, 2))
    assert count_pairs(events, references, 0.2, 0.2) == 2


def test_touching_events_are_compared_one_by_one():
    touching = times((0, 1), (1, 2), (2, 3))
    assert count_pairs(touching, touching, 0.2, 0.2) == 3
    assert count_pairs(times((0, 3)), touching, 0.2, 0.2) == 0


def test_no_events_and_no_references_make_no_pairs():
    assert count_pairs(times(), times((1, 2)), 0.2, 0.2) == 0
    assert count_pairs(times((1, 2)), times(), 0.2, 0.2) == 0
    assert count_pairs(times(), times(), 0.2, 0.2) == 0


@pytest.fixture
def five_minutes():
    """Events of five minutes, in any order, and references that they are near to."""
    random = np.random.default_rng(0)
    onsets = random.uniform(0, 300, 300)
    references = np.stack([onsets, onsets + random.uniform(0.1, 3, 300)], axis=1)
    return random.permutation(references + random.uniform(-0.4, 0.4, (300, 2))), references


def test_events_in_groups_make_as_many_pairs_as_a_matching_of_all_at_once(five_minutes):
    events, references = five_minutes
    distances = np.abs(references[:, None] - events[None]).round(4)
    lengths = np.diff(references)
    fits = (distances[..., 0] <= 0.2) & (distances[..., 1] <= np.maximum(0.2, 0.2 * lengths))
    num_pairs = (maximum_bipartite_matching(csr_array(fits)) >= 0).sum()
    assert count_pairs(events, references, 0.2, 0.2) == num_pairs
    assert 50 < num_pairs < 250


def test_a_day_of_events_fits_into_memory(five_minutes):
    """Each with each would take 60 GB."""
    shifts_s = np.arange(288)[:, None, None] * 310.0
    day = [(times + shifts_s).reshape(-1, 2) for times in five_minutes]
    assert count_pairs(*day, 0.2, 0.2) == 288 * count_pairs(*five_minutes, 0.2, 0.2)
