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

from freqquest.audio.files import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cnn.config import CnnConfig
from freqquest.errors import UserError
from freqquest.runs.storage import Location

if TYPE_CHECKING:
    import keras

_CARD_NAME = "freqquest.json"
_CARD_VERSION = 1


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
    dataset_sha256: str
    """Hash of the dataset's sources."""
    scores: dict[str, Any]
    """Accuracy and the split it belongs to."""
    version: int = _CARD_VERSION


def build_model(
    config: CnnConfig, num_classes: int, input_shape: tuple[int, int], mean: float, standard_deviation: float
) -> "keras.Model":
    """The network: spectrograms `[N, M, T, 1]` to class probabilities `[N, K]`.

    Args:
        config: Size and regularisation.
        num_classes: K.
        input_shape: (M, T).
        mean: Of the training split, in the view's unit.
        standard_deviation: Likewise; both count only with `standardise_input`.
    """
    from keras import Sequential, layers

    model = Sequential([layers.Input((*input_shape, 1))])
    if config.standardise_input:
        scale = 1 / max(standard_deviation, 1e-6)
        model.add(layers.Rescaling(scale, offset=-mean * scale))
    for block in range(config.num_blocks):
        model.add(layers.Conv2D(config.num_filters * 2**block, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization(momentum=config.batch_norm_momentum))
        model.add(layers.MaxPooling2D(2))
        if config.block_dropout:
            model.add(layers.Dropout(config.block_dropout))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(config.dense_units, activation="relu"))
    model.add(layers.Dropout(config.dropout))
    model.add(layers.Dense(num_classes, activation="softmax"))
    return model


def add_card(keras_file: bytes, card: ModelCard) -> bytes:
    """A `.keras` file with the card inside; Keras ignores it when loading."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(keras_file)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_CARD_NAME, json.dumps(dataclasses.asdict(card)))
        return path.read_bytes()


def read_card(model_file: Location) -> ModelCard:
    """What the model was made from, without loading Keras.

    Raises:
        UserError: The file is missing, no freqquest model, or of another version.
    """
    if not model_file.is_file():
        raise UserError(f"--model {model_file} does not exist: jobs/tune_cnn.py makes best_model.keras")
    try:
        with model_file.open() as stream, zipfile.ZipFile(stream) as archive:
            content = json.loads(archive.read(_CARD_NAME))
        if content["version"] != _CARD_VERSION:
            raise UserError(
                f"--model {model_file} is of version {content['version']}; this freqquest reads {_CARD_VERSION}"
            )
        return ModelCard(
            **content | {"clip": ClipConfig(**content["clip"]), "view": SpectrogramConfig(**content["view"])}
        )
    except (zipfile.BadZipFile, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"--model {model_file} is not a model saved by jobs/tune_cnn.py: {error}") from error


def load_model(model_file: Location) -> "keras.Model":
    """The network, for inference; code inside the file is refused (Keras' safe mode)."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model_file.read_bytes())
        return keras.models.load_model(path, compile=False, safe_mode=True)
