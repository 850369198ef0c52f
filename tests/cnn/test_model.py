import json
import zipfile

import keras
import numpy as np
import pytest

from freqquest.audio.files import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.model import ModelCard, add_card, build_model, load_model, read_card
from freqquest.errors import UserError
from freqquest.runs.storage import locate

SHAPE = (128, 173)


def build(config: CnnConfig) -> keras.Model:
    return build_model(config, num_classes=5, input_shape=SHAPE, mean=-40.0, standard_deviation=20.0)


def card() -> ModelCard:
    return ModelCard(
        classes=["a", "b"],
        clip=ClipConfig(),
        view=CNN_VIEW,
        most_frequent_class="a",
        network={},
        dataset_sha256="0",
        scores={"accuracy": 0.5, "split": "recordings never heard in training"},
    )


def save(model: keras.Model, tmp_path) -> bytes:
    model.save(tmp_path / "plain.keras")
    return (tmp_path / "plain.keras").read_bytes()


def test_the_reference_is_the_recipes_network_layer_for_layer():
    model = build(PRESETS["reference"])
    layers = [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers]
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
    ]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {(layer.kernel_size, layer.padding, layer.activation.__name__) for layer in convolutions} == {
        ((3, 3), "same", "relu")
    }
    batch_norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in batch_norms} == {0.99}
    assert model.layers[-2].rate == 0.3
    assert [layer.activation.__name__ for layer in model.layers if isinstance(layer, keras.layers.Dense)] == [
        "relu",
        "softmax",
    ]


def test_the_references_parameters_are_counted():
    model = build(PRESETS["reference"])
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128)
    batch_norms = 4 * (32 + 64 + 128)
    dense = (128 * 128 + 128) + (128 * 5 + 5)
    assert model.count_params() == convolutions + batch_norms + dense == 110_725


def test_the_default_brings_its_input_to_mean_0_and_deviation_1():
    model = build(PRESETS["default"])
    rescale = model.layers[0]
    values = np.array(rescale(np.array([-60.0, -40.0, -20.0], np.float32)))
    np.testing.assert_allclose(values, [-1, 0, 1], atol=1e-6)


def test_outputs_are_probabilities():
    probabilities = np.array(build(PRESETS["default"])(np.random.rand(3, *SHAPE, 1).astype(np.float32)))
    assert probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_saved_model_carries_its_card_and_loads_in_safe_mode(tmp_path):
    model = build(PRESETS["default"])
    place = locate(tmp_path / "best_model.keras")
    place.write_bytes(add_card(save(model, tmp_path), card()))
    assert read_card(place) == card()
    clips = np.random.rand(2, *SHAPE, 1).astype(np.float32)
    np.testing.assert_allclose(np.array(load_model(place)(clips)), np.array(model(clips)), atol=1e-6)
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
    with pytest.raises(UserError, match="is of version 99; this freqquest reads 1"):
        read_card(locate(tmp_path / "new.keras"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_blocks": 9}, "num_blocks=9 must be from 1 to 6"),
        ({"dropout": 1.0}, "dropout=1.0 must be from 0 to below 1"),
        ({"batch_size": 0}, "batch_size=0 must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CnnConfig(**settings)
