import subprocess
import sys

import numpy as np
import pytest

from freqquest.cgan.distances import diversity, frechet_distance, kernel_distance, subsample


def test_the_frechet_distance_is_that_of_normal_distributions():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, 4))
    a = rng.standard_normal((40_000, 4)) @ mixing
    b = 2 * rng.standard_normal((40_000, 4)) @ mixing + [1, 0, 0, 3]
    # With covariances C and 4 C: |difference of means|^2 + trace(C + 4 C - 2 * 2 C).
    expected = 10 + np.trace(mixing.T @ mixing)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.02)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_the_frechet_distance_ignores_the_order_of_clips_and_is_never_negative():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 32)), rng.standard_normal((20, 32))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(rng.permutation(a), b))
    assert 0 <= frechet_distance(a, rng.permutation(a)) < 1e-6


def test_the_frechet_distance_works_with_fewer_clips_than_axes():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 32)), rng.standard_normal((180, 32))
    near, far = frechet_distance(a, b), frechet_distance(a + 2, b)
    assert far > 10 * near


def test_the_kernel_distance_is_zero_on_average_between_equals_and_grows_with_a_shift():
    rng = np.random.default_rng(0)

    def measure(shift: float, num_clips: int = 16) -> float:
        a, b = rng.standard_normal((num_clips, 4)) + shift, rng.standard_normal((100, 4))
        return kernel_distance(a, b, width=3.0)

    among_equals = np.array([measure(0.0) for _ in range(200)])
    assert abs(among_equals.mean()) < 3 * among_equals.std() / np.sqrt(200)
    assert (
        among_equals.min()
        < 0
        < among_equals.max()
        < measure(1.0)
        < measure(3.0)
        < measure(50.0)
        <= 2
    )


def test_the_kernel_distance_samples_very_many_clips():
    rng = np.random.default_rng(0)
    assert (
        abs(kernel_distance(rng.standard_normal((30_000, 2)), rng.standard_normal((5, 2)), 1.0))
        < 0.5
    )


def test_diversity_is_0_in_a_collapse_and_1_among_real_clips():
    rng = np.random.default_rng(0)
    usual = rng.standard_normal((200, 4))
    assert diversity(np.ones((16, 4)), usual) == 0
    assert diversity(rng.standard_normal((200, 4)), usual) == pytest.approx(1, abs=0.05)
    assert diversity(0.5 * usual, usual) == pytest.approx(0.5)
    assert diversity(usual[:1], usual) is None
    assert diversity(usual, np.ones((5, 4))) is None


def test_points_are_thinned_evenly():
    points = np.arange(6_001)[:, None]
    thinned = subsample(points)[:, 0]
    assert len(thinned) == 2_000
    assert (thinned[0], thinned[-1]) == (0, 6_000)
    assert set(np.diff(thinned)) <= {3, 4}
    np.testing.assert_array_equal(subsample(points[:9]), points[:9])


def test_only_the_frechet_distance_needs_scikit_learn():
    code = "import sys, freqquest.cgan.distances; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
