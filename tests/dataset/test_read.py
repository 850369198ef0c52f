import numpy as np

from freqquest.dataset.read import epoch_order


def test_an_epochs_order_is_a_permutation_given_by_seed_and_epoch():
    order = epoch_order(100, seed=1, epoch=2)
    assert sorted(order) == list(range(100))
    np.testing.assert_array_equal(order, epoch_order(100, seed=1, epoch=2))
    assert (order != epoch_order(100, seed=1, epoch=3)).any()
    assert (order != epoch_order(100, seed=2, epoch=2)).any()
