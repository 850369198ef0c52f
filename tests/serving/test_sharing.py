import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from freqquest.dataset.clip_inputs import Inputs
from freqquest.serving.sharing import SharedNetwork


def test_what_waits_while_the_network_computes_goes_through_it_together():
    sizes, may_go, has_begun = [], threading.Event(), threading.Event()

    def predict(inputs):
        spectrograms = inputs.spectrograms
        sizes.append(len(spectrograms))
        has_begun.set()
        assert may_go.wait(60)
        return spectrograms.sum(axis=(1, 2))[:, None]

    shared = SharedNetwork(predict, max_batch=4)
    calls = [np.full((1 + number % 2, 2, 3), number, float) for number in range(10)]
    with ThreadPoolExecutor(10) as threads:
        results = [threads.submit(shared, Inputs(calls[0]))]
        assert has_begun.wait(60)
        results += [threads.submit(shared, Inputs(call)) for call in calls[1:]]
        while shared._waiting.qsize() < 9:
            pass
        may_go.set()
        for call, result in zip(calls, results, strict=True):
            assert result.result().tolist() == call.sum(axis=(1, 2))[:, None].tolist()
    assert sum(sizes) == sum(map(len, calls))
    assert len(sizes) == 4, "one alone, then two batches of four and the last one"


def test_a_failure_reaches_all_that_wait_and_the_network_goes_on():
    def predict(inputs):
        if inputs.spectrograms[0, 0, 0]:
            raise ValueError("no memory")
        return inputs.spectrograms[:, 0]

    shared = SharedNetwork(predict, max_batch=4)
    with pytest.raises(ValueError, match="no memory"):
        shared(Inputs(np.ones((1, 1, 1))))
    assert shared(Inputs(np.zeros((2, 1, 1)))).tolist() == [[0], [0]]


def test_probabilities_do_not_depend_on_the_batch(network):
    windows = np.random.default_rng(0).normal(-40, 10, (9, 128, 173)).astype(np.float32)
    alone = np.concatenate([network(Inputs(window[None])) for window in windows])
    assert np.abs(network(Inputs(windows)) - alone).max() < 1e-5
