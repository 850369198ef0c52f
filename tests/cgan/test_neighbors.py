import numpy as np
import pytest

from freqquest.cgan.neighbors import copying, density_and_coverage

TEN = np.arange(10.0)[:, None]
"""Points on a line, a step apart. Their balls reach 3 steps, those near an end 4 or 5."""

REACH = np.array([5, 4, 3, 3, 3, 3, 3, 3, 4, 5])


def test_density_and_coverage_of_real_clips_are_known_on_a_line():
    num_inside = (np.abs(TEN - TEN.T) <= REACH[:, None]).sum()
    assert density_and_coverage(TEN, TEN) == (num_inside / (5 * 10), 1)


def test_copies_of_one_clip_cover_only_the_balls_around_it():
    # The points 0 and 1 reach -2.5; the point 2 reaches -1.
    density, coverage = density_and_coverage(np.full((10, 1), -2.5), TEN)
    assert coverage == pytest.approx(0.2)
    assert density == pytest.approx(2 / 5)


def test_clips_far_from_real_ones_have_no_density_and_cover_nothing():
    assert density_and_coverage(TEN + 100, TEN) == (0, 0)


def test_unseen_clips_have_a_density_near_1_and_half_of_the_modes_half_the_coverage():
    rng = np.random.default_rng(0)
    modes = 50 * np.arange(2)[:, None, None] + np.zeros((2, 100, 4))
    real = (modes + rng.standard_normal((2, 100, 4))).reshape(-1, 4)
    unseen = (modes + rng.standard_normal((2, 100, 4))).reshape(-1, 4)
    density, coverage = density_and_coverage(unseen, real)
    assert density == pytest.approx(1, abs=0.1)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.04)
    collapsed = np.tile(unseen[:100], (2, 1))
    assert density_and_coverage(collapsed, real)[1] == pytest.approx(0.5, abs=0.03)


def test_as_many_clips_of_both_are_compared():
    rng = np.random.default_rng(0)
    generated, real = rng.standard_normal((20, 3)), rng.standard_normal((400, 3))
    evenly = real[np.linspace(0, 399, 20).astype(int)]
    assert density_and_coverage(generated, real) == density_and_coverage(generated, evenly)
    assert density_and_coverage(real, generated) == density_and_coverage(evenly, generated)


@pytest.mark.parametrize(("count", "are_known"), [(0, False), (5, False), (6, True)])
def test_six_clips_of_both_are_needed(count, are_known):
    for pair in ((TEN[:count], TEN), (TEN, TEN[:count])):
        assert (None not in density_and_coverage(*pair)) == are_known


def test_equal_real_clips_are_covered_by_equal_generated_ones_only():
    same = np.ones((8, 3))
    assert density_and_coverage(same, same) == (8 / 5, 1)
    assert density_and_coverage(same + 1, same) == (0, 0)


def test_copying_is_the_share_of_pairs_in_which_the_generated_clip_is_nearer():
    assert copying(np.zeros(3), np.array([1.0, 2.0])) == 1
    assert copying(np.array([3.0]), np.array([1.0, 2.0])) == 0
    assert copying(np.array([1.0, 1.5]), np.array([1.0, 2.0])) == (0.5 + 1 + 0 + 1) / 4
    rng = np.random.default_rng(0)
    assert copying(*rng.exponential(size=(2, 500))) == pytest.approx(0.5, abs=0.05)
    assert copying(np.zeros(0), np.ones(2)) is None
    assert copying(np.ones(2), np.zeros(0)) is None
