"""The CNN, built from Keras' own layers, and predictions of any of the classifier's networks.

Keras is imported inside the functions; no Ray.
Shapes: N clips, M mel bands, T frames, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from freqquest.cnn.config import FLOOR_DB, CnnConfig
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import Normalization

if TYPE_CHECKING:
    import keras

SMALLEST_PROBABILITY = 1e-7
"""Added to probabilities before taking a logarithm."""

Temperature = float | list[float]
"""Temperature of all classes, or of each class where clips have several labels."""

_PREDICTION_BATCH, _PREDICTION_VALUES = 64, 64 * 128 * 173
"""Most clips, and most values of their spectrograms, that are classified together: 64 of the
recipe's clips, and fewer longer ones, so that they need no more memory."""


def build_model(
    config: CnnConfig,
    num_classes: int,
    input_shape: tuple[int, int],
    normalization: Normalization,
    *,
    several_labels: bool = False,
    mixed_precision: bool = False,
) -> "keras.Model":
    """Build the network: spectrograms `[N, M, T, 1]` to class probabilities `[N, K]`.

    It uses only Keras' own layers, so that the saved file loads anywhere in safe mode. Any sides
    will do: where one is smaller than the squares of a pooling layer, those are as small.

    Args:
        config: Architecture, size and regularization.
        num_classes: K.
        input_shape: (M, T).
        normalization: Statistics of the training clips, in the unit of the view.
        several_labels: Give each class a probability of its own (sigmoid); they do not sum to 1.
        mixed_precision: Compute in bfloat16 between the normalization and the softmax; the weights
            are float32, and fit a network without it.
    """
    from freqquest.cnn.frameworks import keras

    precision = "mixed_bfloat16" if mixed_precision else "float32"

    inputs = keras.Input((*input_shape, 1))
    floored = keras.ops.maximum(inputs, config.floor_db) if config.floor_db > FLOOR_DB else inputs
    logits = []
    for kind in config.normalization.split("+"):
        normalized = _normalize(floored, kind, normalization)
        with _computing_in(precision):
            logits.append(_logits(normalized, config, num_classes))
    mean = keras.layers.Average()(logits) if len(logits) > 1 else logits[0]
    last = keras.layers.Activation("sigmoid") if several_labels else keras.layers.Softmax()
    return keras.Model(inputs, last(mean))


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Give new layers a precision, and leave the process's own as it was."""
    from keras import config

    earlier = config.dtype_policy()
    config.set_dtype_policy(precision)
    try:
        yield
    finally:
        config.set_dtype_policy(earlier)


def _logits(
    outputs: "keras.KerasTensor", config: CnnConfig, num_classes: int
) -> "keras.KerasTensor":
    """Map normalized spectrograms `[N, M, T, 1]` to logits `[N, K]`."""
    from keras import layers, ops

    if config.input_pooling > 1:
        outputs = layers.AveragePooling2D(_pool_size(outputs, config.input_pooling))(outputs)
    blocks = {"plain": _plain_blocks, "residual": _residual_blocks}[config.network]
    outputs = blocks(outputs, config)
    vector = layers.GlobalAveragePooling2D()(outputs)
    if config.pooling == "average_max":
        loudest = ops.max(ops.mean(outputs, axis=1), axis=1)
        vector = layers.Concatenate()([vector, loudest])
    if config.dense_units:
        vector = layers.Dense(config.dense_units, activation="relu")(vector)
    return layers.Dense(num_classes)(layers.Dropout(config.dropout)(vector))


def _normalize(
    decibels: "keras.KerasTensor", kind: str, normalization: Normalization
) -> "keras.KerasTensor":
    """Apply one of the kinds of `CnnConfig.normalization`."""
    from keras import layers, ops

    scale = 1 / max(normalization.standard_deviation, 1e-6)
    if kind == "dataset":
        return layers.Rescaling(scale, offset=-normalization.mean * scale)(decibels)
    if kind == "band":
        means = normalization.band_means
        deviations = np.maximum(normalization.band_standard_deviations, 1e-3)
        return layers.Normalization(axis=1, mean=means, variance=np.square(deviations))(decibels)
    if kind in ("clip", "clip_band"):
        axes = (1, 2) if kind == "clip" else 2
        return layers.Rescaling(scale)(decibels - ops.mean(decibels, axis=axes, keepdims=True))
    return decibels


def _pool_size(maps: "keras.KerasTensor", side: int) -> tuple[int, int]:
    """Return the sides of a pooling layer's rectangles, which maps `[N, H, W, C]` must cover."""
    _, height, width, _ = maps.shape
    return min(side, height), min(side, width)


def _plain_blocks(outputs: "keras.KerasTensor", config: CnnConfig) -> "keras.KerasTensor":
    """Apply the recipe's blocks."""
    from keras import layers

    for block in range(config.num_blocks):
        outputs = layers.Conv2D(
            config.num_filters * 2**block, 3, padding="same", activation="relu"
        )(outputs)
        outputs = layers.BatchNormalization(momentum=config.batch_norm_momentum)(outputs)
        outputs = layers.MaxPooling2D(_pool_size(outputs, 2))(outputs)
        if config.block_dropout:
            outputs = layers.Dropout(config.block_dropout)(outputs)
    return outputs


def _residual_blocks(outputs: "keras.KerasTensor", config: CnnConfig) -> "keras.KerasTensor":
    """Apply a strided convolution with half the first block's channels, then residual blocks.

    Source: He et al., 2016, "Deep Residual Learning". Kernels are initialized uniformly in
    +-1 / sqrt(inputs): smaller than Keras' default, so that each step has more effect.
    """
    from keras import initializers, layers

    def convolve(
        values: "keras.KerasTensor", num_filters: int, size: int, strides: int = 1
    ) -> "keras.KerasTensor":
        convolution = layers.Conv2D(
            num_filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        )
        return layers.BatchNormalization(momentum=config.batch_norm_momentum, epsilon=1e-5)(
            convolution(values)
        )

    outputs = layers.ReLU()(convolve(outputs, max(1, config.num_filters // 2), size=5, strides=2))
    for block in range(config.num_blocks):
        num_filters, strides = config.num_filters * 2**block, 1 if block == 0 else 2
        shortcut = (
            outputs if strides == 1 else layers.AveragePooling2D(strides, padding="same")(outputs)
        )
        inner = layers.ReLU()(convolve(outputs, num_filters, size=3, strides=strides))
        inner = convolve(inner, num_filters, size=3)
        outputs = layers.ReLU()(layers.Add()([inner, convolve(shortcut, num_filters, size=1)]))
        if config.block_dropout:
            outputs = layers.Dropout(config.block_dropout)(outputs)
    return outputs


def predict_probabilities(model: "keras.Model", inputs: Inputs) -> np.ndarray:
    """Return class probabilities `[N, K]` of clips, computed in batches.

    Args:
        model: Network on spectrograms, on vectors, or on both.
        inputs: The clips; those inputs that the model does not take are ignored.
    """
    return np.concatenate(
        [model.predict_on_batch(model_inputs(model, batch)) for batch in input_batches(inputs)]
    )


def input_name(shape: tuple[int | None, ...]) -> str:
    """Return the name of an input of this shape: `spectrogram` or `vector`."""
    return "vector" if len(shape) == 2 else "spectrogram"


def model_inputs(model: "keras.Model", inputs: Inputs) -> np.ndarray | dict[str, np.ndarray]:
    """Return those inputs that a model takes, as it takes them."""
    taken: dict[str, np.ndarray] = {}
    for name in (input_name(each.shape) for each in model.inputs):
        if name == "spectrogram":
            taken[name] = inputs.spectrograms.astype(np.float32)[..., None]
        else:
            assert inputs.vectors is not None
            taken[name] = inputs.vectors
    return taken if len(taken) > 1 else next(iter(taken.values()))


def input_batches(inputs: Inputs) -> Iterator[Inputs]:
    """Yield as many clips at a time as memory has room for."""
    _, num_bands, num_frames = inputs.spectrograms.shape
    step = max(1, min(_PREDICTION_BATCH, _PREDICTION_VALUES // (num_bands * num_frames)))
    for start in range(0, len(inputs.spectrograms), step):
        part = slice(start, start + step)
        vectors = None if inputs.vectors is None else inputs.vectors[part]
        yield Inputs(inputs.spectrograms[part], vectors)
