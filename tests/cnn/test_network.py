from dataclasses import replace

import keras
import numpy as np
import pytest

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.network import build_model, input_batches
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import Normalization
from tests.cnn.conftest import CLIP_NORMALIZATION, SMALLEST

SHAPE = (128, 173)
NORMALIZATION = Normalization(
    mean=-40.0,
    standard_deviation=20.0,
    band_means=[-40.0 - 0.1 * band for band in range(128)],
    band_standard_deviations=[20.0] * 127 + [0.0],
)


def build(config: CnnConfig) -> keras.Model:
    return build_model(config, num_classes=5, input_shape=SHAPE, normalization=NORMALIZATION)


def random_clips(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-80, 0, (count, *SHAPE, 1)).astype(np.float32)


def test_the_reference_has_the_layers_of_the_recipe():
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


def test_the_reference_has_as_many_parameters_as_the_recipe():
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
def test_each_normalization_scales_the_input_as_described(normalization, expected):
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
    ("normalization", "removes_coloration"), [("clip", False), ("clip_band", True)]
)
def test_normalization_by_clip_removes_loudness_and_by_band_also_coloration(
    normalization, removes_coloration
):
    model = build(replace(PRESETS["default"], normalization=normalization, floor_db=-80.0))
    clips = random_clips()
    color = np.linspace(-20, 20, SHAPE[0], dtype=np.float32)[:, None, None]
    plain, louder, colored = (np.array(model(seen)) for seen in (clips, clips + 3, clips + color))
    np.testing.assert_allclose(louder, plain, atol=1e-4)
    assert (np.abs(colored - plain).max() < 1e-4) == removes_coloration


def test_two_normalizations_give_two_networks_whose_logits_are_averaged():
    both, single = (
        build(replace(PRESETS["default"], normalization=kind))
        for kind in ("dataset+clip_band", "dataset")
    )
    assert both.count_params() == 2 * single.count_params()
    clips = random_clips()
    heads = [layer.output for layer in both.layers if isinstance(layer, keras.layers.Dense)]
    logits = np.array(keras.Model(both.input, heads)(clips))
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    np.testing.assert_allclose(
        np.array(both(clips)), keras.ops.softmax(logits.mean(axis=0)), atol=1e-5
    )


def test_values_below_the_floor_do_not_matter():
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


def test_the_default_needs_less_than_a_third_of_the_references_multiplications():
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


def test_several_labels_have_probabilities_that_are_independent():
    config = replace(SMALLEST, normalization="dataset")
    model = build_model(config, 3, SHAPE, CLIP_NORMALIZATION, several_labels=True)
    head = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    logits = np.array(keras.Model(model.input, head.output)(random_clips()))
    np.testing.assert_allclose(
        np.array(model(random_clips())), 1 / (1 + np.exp(-logits)), atol=1e-5
    )


def test_mixed_precision_spares_the_input_and_the_softmax():
    model = build_model(SMALLEST, 3, SHAPE, NORMALIZATION, mixed_precision=True)
    policies = {type(layer).__name__: layer.dtype_policy.name for layer in model.layers}
    assert policies["Conv2D"] == policies["BatchNormalization"] == policies["Dense"]
    assert policies["Conv2D"] == "mixed_bfloat16"
    assert policies["Rescaling"] == policies["Average"] == policies["Softmax"] == "float32"
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("sides", [(128, 9), (40, 126), (2, 3), (1, 1)])
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_clips_of_any_size_have_a_network_of_the_most_blocks(preset, sides):
    normalization = replace(
        NORMALIZATION,
        band_means=NORMALIZATION.band_means[: sides[0]],
        band_standard_deviations=[20.0] * sides[0],
    )
    config = replace(
        PRESETS[preset], num_filters=2, num_blocks=6, input_pooling=4, pooling="average_max"
    )
    model = build_model(config, 3, sides, normalization)
    probabilities = np.array(model(np.zeros((2, *sides, 1), np.float32)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "sizes"),
    [
        (SHAPE, [64, 6]),
        ((40, 20), [64, 6]),
        ((128, 1730), [6] * 11 + [4]),
        ((9, 500_000), [1] * 70),
    ],
)
def test_inputs_of_a_batch_hold_no_more_than_64_of_the_recipes_clips(sides, sizes):
    spectrograms = np.broadcast_to(np.arange(70, dtype=np.float16)[:, None, None], (70, *sides))
    vectors = np.arange(70, dtype=np.float32)[:, None]
    batches = list(input_batches(Inputs(spectrograms, vectors)))
    assert [len(batch.spectrograms) for batch in batches] == sizes
    first = [sum(sizes[:n]) for n in range(len(sizes))]
    assert [batch.spectrograms[0, 0, 0] for batch in batches] == first
    assert [batch.vectors[0, 0] for batch in batches] == first
