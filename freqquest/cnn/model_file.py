"""The classifier's network, and its file: a `.keras` archive that also carries all that prediction needs.

Shapes: N clips, M mel bands, T frames, K classes.
"""

import dataclasses
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freqquest.audio.decode import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cnn.config import FLOOR_DB, CnnConfig
from freqquest.dataset.manifest import Normalization
from freqquest.errors import UserError
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

SMALLEST_PROBABILITY = 1e-7
"""Added before a logarithm."""

_CARD_NAME = "freqquest.json"
_CARD_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a model was made from; stored inside its file."""

    classes: list[str]
    clip: ClipConfig
    view: SpectrogramConfig
    most_frequent_class: str
    """Answer for a clip that cannot be read."""
    network: dict[str, Any]
    """CnnConfig of the model."""
    num_members: int
    """Networks that are averaged in it."""
    trained_on: str
    """Which clips it learned from."""
    temperature: float
    """What divides its log probabilities, fitted to what one such network said of the validation clips."""
    normalization: Normalization
    """Of the dataset's training split; the network's first layers apply it."""
    dataset_sha256: str
    """Hash of the dataset's rows."""
    scores: dict[str, Any]
    """Accuracy and the split it belongs to."""
    num_extra_clips: int = 0
    """Clips from elsewhere that it learned from too; files of earlier versions do not tell, as there were none."""
    version: int = _CARD_VERSION


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
    scores = [_network(_normalize(heard, kind, normalization), config, num_classes) for kind in kinds]
    return Model(inputs, layers.Softmax()(layers.Average()(scores) if len(scores) > 1 else scores[0]))


def _network(outputs: Any, config: CnnConfig, num_classes: int) -> Any:
    """Normalized spectrograms `[N, M, T, 1]` to scores `[N, K]`, whose softmax are probabilities."""
    from keras import layers, ops

    if config.input_pooling > 1:
        outputs = layers.AveragePooling2D(config.input_pooling)(outputs)
    outputs = {"plain": _plain_blocks, "residual": _residual_blocks}[config.network](outputs, config)
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
        means, deviations = normalization.band_means, np.maximum(normalization.band_standard_deviations, 1e-3)
        return layers.Normalization(axis=1, mean=means, variance=np.square(deviations))(decibels)
    if kind in ("clip", "clip_band"):
        axes = (1, 2) if kind == "clip" else 2
        return layers.Rescaling(scale)(decibels - ops.mean(decibels, axis=axes, keepdims=True))
    return decibels


def _plain_blocks(outputs: Any, config: CnnConfig) -> Any:
    """The recipe's blocks."""
    from keras import layers

    for block in range(config.num_blocks):
        outputs = layers.Conv2D(config.num_filters * 2**block, 3, padding="same", activation="relu")(outputs)
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
            num_filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer=start
        )
        return layers.BatchNormalization(momentum=config.batch_norm_momentum, epsilon=1e-5)(convolution(values))

    outputs = layers.ReLU()(convolve(outputs, max(1, config.num_filters // 2), size=5, strides=2))
    for block in range(config.num_blocks):
        num_filters, strides = config.num_filters * 2**block, 1 if block == 0 else 2
        shortcut = outputs if strides == 1 else layers.AveragePooling2D(strides, padding="same")(outputs)
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
        last = [layer.input for layer in dense if layer.activation is not activations.relu]  # those before have it
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


def add_card(keras_file: bytes, card: ModelCard) -> bytes:
    """A `.keras` file with the card inside; Keras ignores it when loading."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(keras_file)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_CARD_NAME, json.dumps(dataclasses.asdict(card)))
        return path.read_bytes()


def read_card(model_file: Location, option: str = "--model") -> ModelCard:
    """What the model was made from, without loading Keras.

    Args:
        model_file: The classifier.
        option: Which option named it, for the text of errors.

    Raises:
        UserError: The file is missing, no freqquest model, or of another version.
    """
    if not model_file.is_file():
        raise UserError(f"{option} {model_file} does not exist: jobs/tune_cnn.py makes best_model.keras")
    try:
        with model_file.open() as stream, zipfile.ZipFile(stream) as archive:
            content = json.loads(archive.read(_CARD_NAME))
        if content["version"] != _CARD_VERSION:
            raise UserError(
                f"{option} {model_file} is of version {content['version']}; this freqquest reads {_CARD_VERSION}"
            )
        types = {"clip": ClipConfig, "view": SpectrogramConfig, "normalization": Normalization}
        return ModelCard(**content | {name: make(**content[name]) for name, make in types.items()})
    except (zipfile.BadZipFile, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{option} {model_file} is not a model saved by jobs/tune_cnn.py: {error}") from error


def load_model(model_file: Location) -> "keras.Model":
    """The network, for inference; code inside the file is refused (Keras' safe mode)."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model_file.read_bytes())
        return keras.models.load_model(path, compile=False, safe_mode=True)
