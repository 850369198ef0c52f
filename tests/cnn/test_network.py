import json
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.model_file import ModelCard, add_card, load_model, read_card
from freqquest.cnn.network import average, build_model
from freqquest.dataset.manifest import Normalization
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import make_card

SHAPE = (128, 173)


NORMALISATION = Normalization(
    mean=-40.0,
    standard_deviation=20.0,
    band_means=[-40.0 - 0.1 * band for band in range(128)],
    band_standard_deviations=[20.0] * 127 + [0.0],
)


def build(config: CnnConfig) -> keras.Model:
    return build_model(config, num_classes=5, input_shape=SHAPE, normalization=NORMALISATION)


def random_clips(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-80, 0, (count, *SHAPE, 1)).astype(np.float32)


def card() -> ModelCard:
    return make_card(["a", "b"], NORMALISATION)


def save(model: keras.Model, tmp_path) -> bytes:
    model.save(tmp_path / "plain.keras")
    return (tmp_path / "plain.keras").read_bytes()


def test_the_reference_is_the_recipes_network_layer_for_layer():
    model = build(PRESETS["reference"])
    layers = [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers[1:]]
    assert layers == [
        ("Conv2D", (128, 173, 32)),
        ("BatchNormalization", (128, 173, 32)),
        ("MaxPooling2D", (64, 86, 32)),
        ("Conv2D", (64, 86, 64)),
        ("BatchNormalization", (64, 86, 64)),
        ("MaxPooling2D", (32, 43, 64)),
        ("Conv2D", (32, 43, 128)),
        ("BatchNormalization", (32, 43, 128)),
        ("MaxPooling2D", (16, 21, 128)),
        ("GlobalAveragePooling2D", (128,)),
        ("Dense", (128,)),
        ("Dropout", (128,)),
        ("Dense", (5,)),
        ("Softmax", (5,)),
    ]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {
        (layer.kernel_size, layer.padding, layer.activation.__name__) for layer in convolutions
    } == {((3, 3), "same", "relu")}
    batch_norms = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {layer.momentum for layer in batch_norms} == {0.99}
    assert model.layers[-3].rate == 0.3
    assert [
        layer.activation.__name__ for layer in model.layers if isinstance(layer, keras.layers.Dense)
    ] == [
        "relu",
        "linear",
    ]


def test_the_references_parameters_are_counted():
    model = build(PRESETS["reference"])
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128)
    batch_norms = 4 * (32 + 64 + 128)
    dense = (128 * 128 + 128) + (128 * 5 + 5)
    assert model.count_params() == convolutions + batch_norms + dense == 110_725


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        ("none", [-50.0, -40.0, -30.0]),
        ("dataset", [-0.5, 0.0, 0.5]),
        ("band", [-0.45, 0.05, 0.55]),
        ("clip", [-0.5, 0.0, 0.5]),
        ("clip_band", [-0.5, 0.0, 0.5]),
    ],
)
def test_what_the_network_sees_of_a_clip(normalization, expected):
    model = build(replace(PRESETS["default"], normalization=normalization, floor_db=-80.0))
    pooling = next(
        layer for layer in model.layers if isinstance(layer, keras.layers.AveragePooling2D)
    )
    clip = np.tile(
        np.array([-50.0, -40.0, -30.0] * 128, np.float32).reshape(1, 128, 3, 1)[:, :, :1],
        (1, 1, 173, 1),
    )
    clip[:, :, 58:116], clip[:, :, 116:] = -40.0, -30.0
    seen = np.array(keras.Model(model.input, pooling.input)(clip))
    tolerance = 0.01 if normalization.startswith("clip") else 1e-4
    np.testing.assert_allclose(seen[0, 10, [0, 80, 150], 0], expected, atol=tolerance)


@pytest.mark.parametrize(
    ("normalization", "is_deaf_to_color"), [("clip", False), ("clip_band", True)]
)
def test_a_clips_loudness_is_taken_off_or_also_its_color(normalization, is_deaf_to_color):
    model = build(replace(PRESETS["default"], normalization=normalization, floor_db=-80.0))
    clips = random_clips()
    color = np.linspace(-20, 20, SHAPE[0], dtype=np.float32)[:, None, None]
    plain, louder, colored = (np.array(model(seen)) for seen in (clips, clips + 3, clips + color))
    np.testing.assert_allclose(louder, plain, atol=1e-4)
    assert (np.abs(colored - plain).max() < 1e-4) == is_deaf_to_color


def test_two_normalizations_are_two_networks_whose_scores_are_averaged():
    both, one = (
        build(replace(PRESETS["default"], normalization=kind))
        for kind in ("dataset+clip_band", "dataset")
    )
    assert both.count_params() == 2 * one.count_params()
    clips = random_clips()
    heads = [layer.output for layer in both.layers if isinstance(layer, keras.layers.Dense)]
    scores = np.array(keras.Model(both.input, heads)(clips))
    assert np.abs(scores[0] - scores[1]).max() > 1e-3
    np.testing.assert_allclose(
        np.array(both(clips)), keras.ops.softmax(scores.mean(axis=0)), atol=1e-5
    )


def test_what_is_below_the_floor_is_not_seen():
    model = build(replace(PRESETS["default"], floor_db=-60.0))
    clips = random_clips()
    np.testing.assert_allclose(
        np.array(model(clips)), np.array(model(np.maximum(clips, -60))), atol=1e-6
    )


@pytest.mark.parametrize("pooling", ["average", "average_max"])
@pytest.mark.parametrize("network", ["plain", "residual"])
def test_outputs_are_probabilities(network, pooling):
    config = replace(
        PRESETS["default"], network=network, pooling=pooling, dense_units=8, block_dropout=0.1
    )
    probabilities = np.array(build(config)(random_clips()))
    assert probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_default_is_several_times_leaner_than_the_reference():
    def multiplications(model: keras.Model) -> int:
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        return sum(
            layer.kernel.shape.num_elements() * np.prod(layer.output.shape[1:3])
            for layer in convolutions
        )

    assert (
        multiplications(build(PRESETS["default"]))
        < multiplications(build(PRESETS["reference"])) / 3
    )


def test_an_average_is_the_geometric_mean_made_more_or_less_sure():
    members = [build(replace(PRESETS["default"], num_filters=4)) for _ in range(2)]
    clips = random_clips()
    logs = np.mean([np.log(np.array(member(clips))) for member in members], axis=0)
    for temperature in (1.0, 2.0):
        powers = np.exp(logs / temperature)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            np.array(average(members, temperature)(clips)), expected, atol=1e-4
        )


def test_a_saved_model_carries_its_card_and_loads_in_safe_mode(tmp_path):
    members = []
    for normalization in ("clip", "band"):
        keras.backend.clear_session()  # as in a process of its own, so that names repeat
        members.append(
            build(replace(PRESETS["default"], normalization=normalization, pooling="average_max"))
        )
    model = average(members, temperature=0.5)
    place = locate(tmp_path / "best_model.keras")
    place.write_bytes(add_card(save(model, tmp_path), card()))
    assert read_card(place) == card()
    clips = random_clips()
    np.testing.assert_allclose(
        np.array(load_model(place)(clips)), np.array(model(clips)), atol=1e-6
    )
    assert keras.models.load_model(place.path, safe_mode=True) is not None


def test_code_inside_a_model_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)])
    place = locate(tmp_path / "evil.keras")
    place.write_bytes(add_card(save(model, tmp_path), card()))
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_model(place)


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist: jobs/tune_cnn.py makes best_model.keras"):
        read_card(locate(tmp_path / "nowhere.keras"))
    junk = locate(tmp_path / "junk.keras")
    junk.write_bytes(b"junk")
    with pytest.raises(UserError, match="is not a model saved by jobs/tune_cnn.py"):
        read_card(junk)
    with zipfile.ZipFile(tmp_path / "new.keras", "w") as archive:
        archive.writestr("freqquest.json", json.dumps({"version": 99}))
    with pytest.raises(UserError, match="is of version 99; this freqquest reads 2"):
        read_card(locate(tmp_path / "new.keras"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_blocks": 9}, "num_blocks=9 must be from 1 to 6"),
        ({"dropout": 1.0}, "dropout=1.0 must be from 0 to below 1"),
        ({"batch_size": 0}, "batch_size=0 must be above 0"),
        ({"mixup": -1.0}, "mixup=-1.0 must be 0 or more"),
        ({"floor_db": -90.0}, "floor_db=-90.0 must be from -80.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CnnConfig(**settings)
