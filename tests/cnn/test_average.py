from dataclasses import replace

import keras
import numpy as np
import pytest

from freqquest.cnn.average import average, split_at_logits, with_features
from freqquest.cnn.heads import Head, build_head
from freqquest.cnn.model_file import load_model
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.dataset.clip_inputs import Inputs
from freqquest.storage import locate
from tests.cnn.conftest import CLIP_NORMALIZATION, SMALLEST

SHAPE = (128, 173)


def random_clips(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-80, 0, (count, *SHAPE, 1)).astype(np.float32)


def test_an_average_is_the_geometric_mean_divided_by_the_temperature():
    members = [build_model(SMALLEST, 3, SHAPE, CLIP_NORMALIZATION) for _ in range(2)]
    clips = random_clips()
    logs = np.mean([np.log(np.array(member(clips))) for member in members], axis=0)
    for temperature in (1.0, 2.0):
        powers = np.exp(logs / temperature)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            np.array(average(members, temperature)(clips)), expected, atol=1e-4
        )


def several_labels(**changes: object) -> keras.Model:
    config = replace(SMALLEST, **changes)
    return build_model(config, 3, SHAPE, CLIP_NORMALIZATION, several_labels=True)


def test_members_of_several_labels_average_logits_divided_by_each_classs_temperature(tmp_path):
    members, temperatures = [several_labels() for _ in range(2)], [0.5, 1.0, 2.0]
    for member in members:
        for layer in (each for each in member.layers if isinstance(each, keras.layers.Dense)):
            layer.bias.assign([-2.0, 0.5, 3.0])
    model = average(members, temperatures, several_labels=True)
    clips = random_clips()
    each = [np.array(member(clips)) for member in members]
    logits = np.mean([np.log(p / (1 - p)) for p in each], axis=0) / temperatures
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(np.array(model(clips)), expected, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = load_model(locate(tmp_path / "model.keras"))
    np.testing.assert_allclose(np.array(loaded(clips)), expected, atol=1e-4)
    probabilities, features = with_features(
        loaded, temperatures, several_labels=True
    ).predict_on_batch(clips)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert features.shape == (3, 2 * 2 * 8)


def test_features_are_the_inputs_of_the_last_dense_layers(model_file):
    model = load_model(model_file)
    clips = np.random.default_rng(0).uniform(-60, 0, (4, 128, 173, 1)).astype(np.float32)
    probabilities, features = with_features(model, 0.7).predict_on_batch(clips)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(clips), atol=1e-5)
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    logits, inputs = [], np.split(features, 4, axis=1)
    for member in members:
        for head in (layer for layer in member.layers if isinstance(layer, keras.layers.Dense)):
            logits.append(inputs[len(logits)] @ head.kernel.numpy() + head.bias.numpy())
    logs = [
        np.log(np.array(keras.ops.softmax((logits[i] + logits[i + 1]) / 2)) + 1e-7) for i in (0, 2)
    ]
    expected = np.array(keras.ops.softmax(np.mean(logs, axis=0) / 0.7))
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_features_come_after_a_hidden_dense_layer():
    config = replace(SMALLEST, normalization="dataset", dense_units=5)
    model = average([build_model(config, 3, (128, 173), CLIP_NORMALIZATION)], temperature=1.0)
    clips = np.zeros((2, 128, 173, 1), np.float32)
    probabilities, features = with_features(model, 1.0).predict_on_batch(clips)
    assert features.shape == (2, 5)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(clips), atol=1e-5)


@pytest.mark.parametrize("several_labels", [False, True])
def test_a_model_divided_at_its_logits_gives_the_same_probabilities(several_labels):
    temperature = [0.5, 1.0, 2.0] if several_labels else 0.7
    members = [
        build_model(SMALLEST, 3, (128, 173), CLIP_NORMALIZATION, several_labels=several_labels)
        for _ in range(2)
    ]
    model = average(members, temperature, several_labels=several_labels)
    body, last = split_at_logits(model, temperature, several_labels=several_labels)
    logits = body.predict_on_batch(random_clips())["logits"]
    assert logits.shape == (3, 6)
    probabilities = last.predict_on_batch(logits)["probabilities"]
    np.testing.assert_allclose(probabilities, model.predict_on_batch(random_clips()), atol=1e-6)


def networks_and_head(several_labels: bool) -> tuple[list[keras.Model], Inputs]:
    """Two networks, a head, and three clips that they disagree on."""
    rng = np.random.default_rng(0)
    networks = [
        build_model(SMALLEST, 3, SHAPE, CLIP_NORMALIZATION, several_labels=several_labels)
        for _ in range(2)
    ]
    head = Head(rng.normal(size=(6, 3)), rng.normal(size=3), several_labels)
    vectors = rng.normal(size=(3, 6)).astype(np.float32)
    return [*networks, build_head(head)], Inputs(random_clips()[..., 0], vectors)


def logits_of(probabilities: np.ndarray, several_labels: bool) -> np.ndarray:
    return np.log(probabilities) - (np.log(1 - probabilities) if several_labels else 0)


@pytest.mark.parametrize("several_labels", [False, True])
def test_a_head_counts_as_much_as_all_networks_together(several_labels, tmp_path):
    members, clips = networks_and_head(several_labels)
    temperature = [0.5, 1.0, 2.0] if several_labels else 0.7
    each = [logits_of(predict_probabilities(one, clips), several_labels) for one in members]
    logits = ((each[0] + each[1]) / 2 + each[2]) / 2 / temperature
    powers = np.exp(logits)
    expected = powers / (1 + powers if several_labels else powers.sum(axis=1, keepdims=True))
    average(members, temperature, several_labels=several_labels).save(tmp_path / "model.keras")
    model = load_model(locate(tmp_path / "model.keras"))
    np.testing.assert_allclose(predict_probabilities(model, clips), expected, atol=1e-4)
    both = {"spectrogram": clips.spectrograms[..., None], "vector": clips.vectors}
    probabilities, features = with_features(
        model, temperature, several_labels=several_labels
    ).predict_on_batch(both)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert features.shape == (3, 2 * 2 * 8)  # of the networks alone
    body, last = split_at_logits(model, temperature, several_labels=several_labels)
    found = last.predict_on_batch(body.predict_on_batch(both)["logits"])["probabilities"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_features_of_a_head_alone_are_its_vectors():
    members, clips = networks_and_head(several_labels=False)
    model = average(members[2:], 0.7)
    probabilities, features = with_features(model, 0.7).predict_on_batch(clips.vectors)
    np.testing.assert_array_equal(features, clips.vectors)
    np.testing.assert_allclose(probabilities, predict_probabilities(model, clips), atol=1e-6)
