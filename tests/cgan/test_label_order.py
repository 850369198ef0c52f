import numpy as np

from freqquest.cgan.label_order import LabelOrder

LABELS = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]], bool)


def test_each_label_of_a_clip_is_chosen_once_in_as_many_epochs_as_it_has_labels():
    order, rows = LabelOrder(num_clips=4, seed=0), np.arange(4)
    chosen = np.stack([order.choose(LABELS, rows, epoch) for epoch in range(12)])
    assert chosen.dtype == np.int64
    for clip, labels in enumerate(LABELS):
        counts = np.bincount(chosen[:, clip], minlength=4)
        np.testing.assert_array_equal(counts, labels * 12 // labels.sum())


def test_the_choice_depends_on_seed_epoch_and_row_alone():
    labels = np.ones((100, 5), bool)
    rows = np.random.default_rng(0).permutation(100)
    whole = LabelOrder(100, seed=1).choose(labels, np.arange(100), epoch=3)
    np.testing.assert_array_equal(LabelOrder(100, 1).choose(labels, rows, 3), whole[rows])
    for other in (
        LabelOrder(100, seed=2).choose(labels, np.arange(100), epoch=3),
        LabelOrder(100, seed=1).choose(labels, np.arange(100), epoch=4),
    ):
        assert (other != whole).any()
    assert set(whole) == set(range(5))  # not all clips begin with the same label
