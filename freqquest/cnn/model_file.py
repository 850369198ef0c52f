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

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.dataset.manifest import Normalization
from freqquest.errors import UserError
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras


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
        raise UserError(
            f"{option} {model_file} does not exist: jobs/tune_cnn.py makes best_model.keras"
        )
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
        raise UserError(
            f"{option} {model_file} is not a model saved by jobs/tune_cnn.py: {error}"
        ) from error


def load_model(model_file: Location) -> "keras.Model":
    """The network, for inference; code inside the file is refused (Keras' safe mode)."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model_file.read_bytes())
        return keras.models.load_model(path, compile=False, safe_mode=True)
