import dataclasses

import numpy as np

from freqquest.cnn.search.outcome import table
from tests.cnn.search.conftest import make_outcome


def test_the_table_lists_every_trial_even_if_it_never_reported():
    crashed = dataclasses.replace(
        make_outcome("b", np.zeros(32, bool), state="RuntimeError: out of memory"), history=[]
    )
    rows = table([make_outcome("a", np.ones(32, bool)), crashed])
    assert rows["trial"].tolist() == ["a", "b"]
    assert rows["state"].tolist() == ["finished", "RuntimeError: out of memory"]
    assert rows["epochs"].tolist() == [1, 0]
    assert rows["learning_rate"].tolist() == [2e-3, 2e-3]
