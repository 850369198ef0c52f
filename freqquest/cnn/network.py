"""TODO: say what this module is for."""

from typing import TYPE_CHECKING, Any

import numpy as np

from freqquest.cnn.config import FLOOR_DB, CnnConfig
from freqquest.dataset.manifest import Normalization

if TYPE_CHECKING:
    import keras


SMALLEST_PROBABILITY = 1e-7
"""Added before a logarithm."""


def build_model(
    config: CnnConfig, num_classes: int, input_shape: tuple[int, int], normalization: Normalization
) -> "keras.Model":
    """The network: spectrograms `[N, M, T, 1]` to class probabilities `[N, K]`.

    Only Keras' own layers, so that the saved file loads anywhere, in safe mode.

    Args:
        config: Kind, size and regularization.
        num_classes: K.
        input_shape: (M, T).
        normalization: Of the training clips, in the view's unit.
    """
    from keras import Input, Model, layers, ops

    inputs = Input((*input_shape, 1))
    heard = ops.maximum(inputs, config.floor_db) if config.floor_db > FLOOR_DB else inputs
    kinds = config.normalization.split("+")
    scores = [
        _network(_normalize(heard, kind, normalization), config, num_classes) for kind in kinds
    ]
    return Model(
        inputs, layers.Softmax()(layers.Average()(scores) if len(scores) > 1 else scores[0])
    )


def _network(outputs: Any, config: CnnConfig, num_classes: int) -> Any:
    """Normalized spectrograms `[N, M, T, 1]` to scores `[N, K]`, whose softmax are probabilities."""
    from keras import layers, ops

    if config.input_pooling > 1:
        outputs = layers.AveragePooling2D(config.input_pooling)(outputs)
    outputs = {"plain": _plain_blocks, "residual": _residual_blocks}[config.network](
        outputs, config
    )
    vector = layers.GlobalAveragePooling2D()(outputs)
    if config.pooling == "average_max":
        loudest = ops.max(ops.mean(outputs, axis=1), axis=1)
        vector = layers.Concatenate()([vector, loudest])
    if config.dense_units:
        vector = layers.Dense(config.dense_units, activation="relu")(vector)
    return layers.Dense(num_classes)(layers.Dropout(config.dropout)(vector))


def _normalize(decibels: Any, kind: str, normalization: Normalization) -> Any:
    """Decibels as a network sees them: one of the kinds of `CnnConfig.normalization`."""
    from keras import layers, ops

    scale = 1 / max(normalization.standard_deviation, 1e-6)
    if kind == "dataset":
        return layers.Rescaling(scale, offset=-normalization.mean * scale)(decibels)
    if kind == "band":
        means, deviations = (
            normalization.band_means,
            np.maximum(normalization.band_standard_deviations, 1e-3),
        )
        return layers.Normalization(axis=1, mean=means, variance=np.square(deviations))(decibels)
    if kind in ("clip", "clip_band"):
        axes = (1, 2) if kind == "clip" else 2
        return layers.Rescaling(scale)(decibels - ops.mean(decibels, axis=axes, keepdims=True))
    return decibels


def _plain_blocks(outputs: Any, config: CnnConfig) -> Any:
    """The recipe's blocks."""
    from keras import layers

    for block in range(config.num_blocks):
        outputs = layers.Conv2D(
            config.num_filters * 2**block, 3, padding="same", activation="relu"
        )(outputs)
        outputs = layers.BatchNormalization(momentum=config.batch_norm_momentum)(outputs)
        outputs = layers.MaxPooling2D(2)(outputs)
        if config.block_dropout:
            outputs = layers.Dropout(config.block_dropout)(outputs)
    return outputs


def _residual_blocks(outputs: Any, config: CnnConfig) -> Any:
    """A strided convolution of half the first block's channels, then blocks with shortcuts (He et al., 2016).

    Kernels begin uniform in +-1 / sqrt(inputs): smaller than Keras would, so that steps weigh more.
    """
    from keras import initializers, layers

    def convolve(values: Any, num_filters: int, size: int, strides: int = 1) -> Any:
        start = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        convolution = layers.Conv2D(
            num_filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=start,
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


def average(members: list["keras.Model"], temperature: float) -> "keras.Model":
    """One model whose probabilities are the members' geometric mean, made more or less sure of itself.

    Args:
        members: Networks of the same input and classes.
        temperature: Divides the log probabilities (Guo et al., 2017, "On Calibration of Modern Neural Networks").
    """
    from keras import Input, Model

    for number, member in enumerate(members):
        member.name = f"member_{number}"  # loaded from files, all have the same
    inputs = Input(members[0].input_shape[1:])
    return Model(inputs, _geometric_mean([member(inputs) for member in members], temperature))


def with_features(model: "keras.Model", temperature: float) -> "keras.Model":
    """An averaged model that also tells what its answer rests on.

    Args:
        model: As `average` makes it, also if loaded from a file.
        temperature: The one it was made with.

    Returns:
        Spectrograms `[N, M, T, 1]` to the same probabilities `[N, K]`, and features `[N, D]`: of each network, and each
        of its sides, the vector that its last dense layer weighs.
    """
    from keras import Input, Model, activations, layers, ops

    inputs = Input(model.input_shape[1:])
    probabilities, vectors = [], []
    for member in (layer for layer in model.layers if isinstance(layer, Model)):
        dense = [layer for layer in member.layers if isinstance(layer, layers.Dense)]
        last = [
            layer.input for layer in dense if layer.activation is not activations.relu
        ]  # those before have it
        probability, *inner = Model(member.input, [member.output, *last])(inputs)
        probabilities.append(probability)
        vectors += inner
    features = ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
    return Model(inputs, [_geometric_mean(probabilities, temperature), features])


def _geometric_mean(probabilities: list[Any], temperature: float) -> Any:
    """Several networks' probabilities `[N, K]` as one, whose logarithms are divided by the temperature."""
    from keras import layers, ops

    logs = [ops.log(probability + SMALLEST_PROBABILITY) for probability in probabilities]
    mean = layers.Average()(logs) if len(logs) > 1 else logs[0]
    return layers.Softmax()(layers.Rescaling(1 / temperature)(mean))
