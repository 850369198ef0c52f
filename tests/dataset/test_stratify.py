import itertools
import time

import numpy as np
import pytest
from scipy.sparse import csr_array

from freqquest.dataset.stratify import count_labels, divide_groups, label_shares


def deviation(counts, parts, shares):
    """Return the largest distance of any part's share of any label from the requested one."""
    return np.abs(label_shares(counts, parts, len(shares)) - np.array(shares)[:, None]).max()


def root_mean_square(shares, fraction):
    return np.sqrt(np.square(shares - fraction).mean(axis=-1))


def smallest_root_mean_square(counts, fraction):
    """Return that of the best of all divisions in two that leave each label in both parts."""
    table = counts.toarray()
    choices = np.array(list(itertools.product((0, 1), repeat=len(table))))
    shares = choices @ (table / table.sum(axis=0))
    is_valid = ((shares > 0) & ((1 - choices) @ table > 0)).all(axis=1)
    return root_mean_square(shares[is_valid], fraction).min()


def random_counts(rng, labels_per_group):
    """Return the counts of twelve groups of very different sizes and four labels."""
    sizes = np.ceil(rng.pareto(0.8, 12) * 3 + 0.1).clip(1, 60)
    table = np.zeros((12, 4))
    for group, size in enumerate(sizes):
        labels = rng.permutation([group % 4, *rng.choice(4, labels_per_group - 1)])
        table[group, labels] = rng.integers(1, size + 1, len(labels))
    return csr_array(table)


def test_clips_are_counted_by_group_and_label():
    counts = count_labels(np.array([0, 0, 2, 0, 1]), np.array([1, 1, 0, 0, 1]))
    assert counts.toarray().tolist() == [[1, 2], [0, 1], [1, 0]]


@pytest.mark.parametrize("labels_per_group", [1, 2, 4])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_small_divisions_are_almost_the_best_of_all(labels_per_group, fraction):
    rng = np.random.default_rng(7)
    shares = (1 - fraction, fraction)
    for _ in range(5):
        counts = random_counts(rng, labels_per_group)
        got = label_shares(counts, divide_groups(counts, shares, seed=0), 2)
        assert (got > 0).all()
        smallest = smallest_root_mean_square(counts, fraction)
        assert root_mean_square(got[1], fraction) <= smallest + 0.02


def test_one_huge_group_does_not_spoil_the_other_labels():
    table = np.ones((101, 2))
    table[0] = [300, 0]
    counts = csr_array(table)
    parts = divide_groups(counts, (0.8, 0.2), seed=0)
    assert parts[0] == 0
    assert label_shares(counts, parts, 2)[1] == pytest.approx([0.06, 0.24], abs=0.01)


def test_a_label_of_two_groups_is_in_both_parts_whatever_the_fraction():
    table = np.zeros((40, 2))
    table[:, 0] = 1
    table[3:5, 1] = [9, 1]
    for fraction in (0.001, 0.2, 0.999):
        counts = csr_array(table)
        parts = divide_groups(counts, (1 - fraction, fraction), seed=0)
        assert sorted(parts[3:5]) == [0, 1]
        smaller = min(fraction, 1 - fraction)
        assert label_shares(counts, parts, 2).min() == pytest.approx(max(smaller, 1 / 40), abs=0.1)


def test_groups_that_share_labels_in_a_chain_are_separated():
    # Every label is in two neighbors, so only the alternating division leaves each in both parts.
    table = np.zeros((16, 15))
    for label in range(15):
        table[label : label + 2, label] = 1
    order = np.random.default_rng(0).permutation(16)
    parts = divide_groups(csr_array(table[order]), (0.8, 0.2), seed=0)
    in_chain = parts[np.argsort(order)]
    assert (in_chain[1:] != in_chain[:-1]).all()


def test_equal_parts_have_equal_shares_of_every_label():
    rng = np.random.default_rng(0)
    counts = count_labels(rng.integers(0, 200, 2000), rng.integers(0, 10, 2000))
    parts = divide_groups(counts, [0.2] * 5, seed=0)
    assert deviation(counts, parts, [0.2] * 5) < 0.02


def test_clips_with_several_labels_keep_the_share_of_each():
    rng = np.random.default_rng(0)
    clips, labels = np.nonzero(rng.random((5000, 40)) < rng.uniform(0.005, 0.2, 40))
    _, recordings = np.unique(clips // 3, return_inverse=True)
    counts = count_labels(recordings, labels)
    parts = divide_groups(counts, (0.8, 0.2), seed=0)
    random_parts = (rng.random(len(parts)) < 0.2).astype(int)
    assert deviation(counts, parts, (0.8, 0.2)) < 0.01
    assert deviation(counts, random_parts, (0.8, 0.2)) > 0.05


def test_the_seed_decides_which_groups_are_divided_how():
    counts = count_labels(np.arange(100) // 2, np.arange(100) // 2 % 2)
    first, again, other = (divide_groups(counts, (0.8, 0.2), seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("num_groups", [2_000, 200_000])
def test_many_clips_are_divided_within_seconds(num_groups):
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.arange(num_groups), rng.integers(0, num_groups, 200_000)])
    counts = count_labels(groups, rng.integers(0, 35, len(groups)))
    started = time.process_time()
    parts = divide_groups(counts, (0.8, 0.2), seed=0)
    assert time.process_time() - started < 10
    assert deviation(counts, parts, (0.8, 0.2)) < 0.002
