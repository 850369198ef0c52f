import io
import json
from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.labeled_clips import SplitRows, dataset_split
from freqquest.cnn.training import fit
from freqquest.cnn.training_state import UnusableStateError
from tests.cnn.conftest import EASY
from tests.cnn.test_training import PLAIN

WITH_DROPOUT = replace(EASY, dropout=0.5, weight_average=1 / 3, mixup=0.2, num_masks=1)
PLATEAU = replace(PLAIN, dropout=0.5, learning_rate=0.05)


def train(config, clips, split=None, num_epochs=4, **settings):
    """Train, and return the model, the metrics and the state of each epoch."""
    epochs = []
    model = fit(
        config,
        clips,
        split or dataset_split(clips),
        max_epochs=num_epochs,
        seed=3,
        on_epoch=lambda epoch: epochs.append((epoch.metrics, epoch.save())),
        **settings,
    )
    return model, *zip(*epochs, strict=True)


@pytest.mark.parametrize("config", [WITH_DROPOUT, PLATEAU], ids=["averages", "plateau"])
def test_a_training_that_goes_on_is_that_without_an_interruption(clips, config):
    model, metrics, states = train(config, clips)
    continued, later, _ = train(config, clips, saved=states[1])
    assert len(later) == 2
    for expected, found in zip(metrics[2:], later, strict=True):
        assert found.pop("train/seconds") > metrics[1]["train/seconds"]  # those before count
        del expected["train/seconds"]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    for expected, found in zip(model.get_weights(), continued.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.fixture
def unlearnable(clips):
    """Clips and a split whose validation labels are wrong, so that no epoch beats the first."""
    split = SplitRows(train=np.arange(24), validation=np.arange(24, 32))
    labels = clips.labels.copy()
    labels[split.validation] ^= True
    return replace(clips, labels=labels), split


def test_plateaus_are_remembered(unlearnable):
    _, metrics, states = train(PLATEAU, *unlearnable, num_epochs=40)
    rates = [epoch["train/learning_rate"] for epoch in metrics]
    assert rates[-1] < rates[0]
    assert len(metrics) < 40  # ended early
    middle = rates.index(min(rates)) - 2  # waits for the next reduction
    _, later, _ = train(PLATEAU, *unlearnable, num_epochs=40, saved=states[middle])
    assert [epoch["train/learning_rate"] for epoch in later] == pytest.approx(rates[middle + 1 :])


def test_a_training_that_has_ended_early_does_not_go_on(unlearnable):
    model, _, states = train(PLATEAU, *unlearnable, num_epochs=40)
    again = []
    continued = fit(
        PLATEAU, *unlearnable, max_epochs=40, seed=3, saved=states[-1], on_epoch=again.append
    )
    assert not again
    for expected, found in zip(model.get_weights(), continued.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def state():
    from tests.cnn.conftest import make_clips

    return train(EASY, make_clips(), num_epochs=1)[2][0]


def test_states_of_other_networks_and_backends_are_refused(clips, state):
    with pytest.raises(UnusableStateError, match="another network"):
        train(replace(EASY, num_filters=4), clips, saved=state)
    with np.load(io.BytesIO(state)) as arrays:
        contents = dict(arrays)
    header = json.loads(str(contents.pop("header"))) | {"backend": "torch"}
    stream = io.BytesIO()
    np.savez(stream, header=np.array(json.dumps(header)), **contents)
    with pytest.raises(UnusableStateError, match="version 1 and is of the backend torch"):
        train(EASY, clips, saved=stream.getvalue())


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_damaged_states_are_refused(clips, state, share):
    with pytest.raises(UnusableStateError, match="damaged"):
        train(EASY, clips, saved=state[: int(share * len(state))])


def test_changed_bytes_are_noticed(clips, state):
    middle = len(state) // 2
    changed = state[:middle] + bytes([state[middle] ^ 1]) + state[middle + 1 :]
    with pytest.raises(UnusableStateError, match="damaged"):
        train(EASY, clips, saved=changed)


def test_a_state_executes_nothing(clips, tmp_path):
    stream = io.BytesIO()
    np.savez(stream, header=np.array([Malicious(tmp_path / "touched")], object))
    with pytest.raises(UnusableStateError, match="damaged"):
        train(EASY, clips, saved=stream.getvalue())
    assert not (tmp_path / "touched").exists()


class Malicious:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (self._path, "w")
