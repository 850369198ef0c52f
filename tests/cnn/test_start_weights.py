from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.average import average
from freqquest.cnn.earlier_model import EarlierModel
from freqquest.cnn.labeled_clips import dataset_split
from freqquest.cnn.model_file import add_card, to_bytes
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.cnn.start_weights import StartWeights, read_start
from freqquest.cnn.training import fit
from freqquest.storage import locate
from tests.cnn.conftest import EASY, make_card

KNOWN = ["clicks", "hum"]
"""Classes of the earlier model; the clips have tones and clicks."""


def network(clips, num_classes, seed):
    import keras

    keras.utils.set_random_seed(seed)
    return build_model(EASY, num_classes, clips.spectrograms.shape[1:], clips.normalization)


def test_known_classes_keep_their_weights_and_new_ones_begin_anew(clips):
    import keras

    earlier, model = network(clips, 2, seed=0), network(clips, 2, seed=1)
    before = model.get_weights()
    StartWeights(KNOWN, earlier.get_weights()).give_to(model, clips.classes)
    *hidden, kernel, bias = model.get_weights()
    assert all(map(np.array_equal, hidden, earlier.get_weights()[:-2]))
    assert isinstance(model.layers[-2], keras.layers.Dense)
    tones, clicks = 0, 1
    assert np.array_equal(kernel[:, clicks], earlier.get_weights()[-2][:, 0])
    assert np.array_equal(kernel[:, tones], before[-2][:, tones])
    assert np.array_equal(bias[tones], before[-1][tones])


def test_the_same_classes_in_another_order_are_predicted_alike(clips):
    rows = np.arange(4)
    config = replace(EASY, normalization="dataset+clip_band")
    shape = clips.spectrograms.shape[1:]
    earlier = build_model(config, 2, shape, clips.normalization)
    model = build_model(config, 2, shape, clips.normalization)
    StartWeights(["clicks", "tones"], earlier.get_weights()).give_to(model, clips.classes)
    expected = predict_probabilities(earlier, clips.inputs(rows))[:, ::-1]
    assert np.allclose(predict_probabilities(model, clips.inputs(rows)), expected, atol=1e-6)


def test_a_training_begins_with_the_weights(clips):
    split = dataset_split(clips)
    trained = fit(EASY, clips, split, max_epochs=6, seed=0)
    accuracies = {}
    for name, start in {
        "random": None,
        "trained": StartWeights(list(clips.classes), trained.get_weights()),
    }.items():
        slow = replace(EASY, learning_rate=1e-9, optimizer="adam", weight_average=0.0)
        model = fit(slow, clips, split, max_epochs=1, seed=5, start=start)
        probabilities = predict_probabilities(model, clips.inputs(split.train))
        accuracies[name] = clips.score.compute(probabilities, clips.labels[split.train])
    assert accuracies["trained"] > 0.9
    assert accuracies["random"] < 0.8


@pytest.mark.parametrize("with_search_network", [False, True])
def test_members_are_taken_out_of_the_file_and_trials_start_from_what_has_not_heard_their_clips(
    clips, tmp_path, monkeypatch, with_search_network
):
    monkeypatch.setattr("freqquest.cnn.start_weights.prepare", lambda device: None)
    members = [network(clips, 2, seed) for seed in (1, 2)]
    weights = [member.get_weights() for member in members]
    card = replace(make_card(KNOWN, clips.normalization), cnn_config={"num_filters": 4})
    model_file, search_file = locate(tmp_path / "model.keras"), locate(tmp_path / "search.keras")
    of_search = network(clips, 2, seed=3)
    search_file.write_bytes(to_bytes(of_search))
    model_file.write_bytes(add_card(to_bytes(average(members, temperature=1.0)), card))
    rows = dataset_split(clips).validation
    start = read_start(
        EarlierModel(
            file=model_file,
            card=card,
            search_network=search_file if with_search_network else None,
            is_unheard=True,
            sha256="",
        ),
        clips,
        rows,
    )
    assert len(start.of_members) == 2
    for member, expected in zip(start.of_members, weights, strict=True):
        assert all(map(np.array_equal, member.weights, expected))
    first = of_search if with_search_network else members[0]
    assert all(map(np.array_equal, start.of_search.weights, first.get_weights()))
    clicks = predict_probabilities(first, clips.inputs(rows))[:, 0]
    assert np.allclose(start.probabilities[:, 1], clicks)
    assert (start.probabilities[:, 0] == 0).all()  # the model does not know tones
    assert start.cnn_config.num_filters == 4
