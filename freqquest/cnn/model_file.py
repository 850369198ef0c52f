"""The model file: a `.keras` archive with a card, which holds all that prediction needs.

Keras is imported inside the functions; no Ray.
"""

import dataclasses
import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.choices import check_types
from freqquest.cnn.abstention import CoverageCurve, Point
from freqquest.cnn.earlier_cards import renew
from freqquest.cnn.model_card import CARD_VERSION, ModelCard
from freqquest.dataset.manifest import Normalization
from freqquest.dataset.windows import WindowConfig
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.network import read_again
from freqquest.errors import UserError
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

_CARD_NAME = "freqquest.json"
_MAX_COMPRESSED_BYTES = 2**24
"""Size up to which a part of a model file may be compressed by any factor."""
_OPTIONAL_FIELDS = ("thresholds", "background_label", "embedding")
"""Fields of the card that are left out where they are None, so that an earlier freqquest reads it;
it refuses a file that has them, because it would use the model wrongly."""
_DECISIONS_NAME = "freqquest_decisions.json"
_DECISION_FIELDS = ("detection_thresholds", "coverage_curve")
"""A second part of the card, with fields that an earlier freqquest can do without."""


def add_card(keras_file: bytes, card: ModelCard, network_file: Location | None = None) -> bytes:
    """Add the card to a `.keras` file, and the file of its pretrained network.

    Keras ignores both when loading.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(keras_file)
        with zipfile.ZipFile(path, "a") as archive:
            for name, part in _to_parts(card).items():
                archive.writestr(name, json.dumps(part))
            if card.embedding is not None:
                assert network_file is not None
                network = read_again(card.embedding, network_file)
                archive.writestr(card.embedding.file_name, network)
        return path.read_bytes()


def _to_parts(card: ModelCard) -> dict[str, dict[str, object]]:
    """Return the JSON files of a card by name."""
    content = dataclasses.asdict(card)
    decisions = {name: content.pop(name) for name in _DECISION_FIELDS}
    for name in _OPTIONAL_FIELDS:
        if content[name] is None:
            del content[name]
    return {_CARD_NAME: content, _DECISIONS_NAME: decisions}


def read_card(model_file: Location, parameter: str = "model") -> ModelCard:
    """Read a model's card, without loading Keras.

    Args:
        model_file: File of the classifier.
        parameter: Name of the parameter that gave the path, for error messages.

    Raises:
        UserError: The file is missing, not a freqquest model, or of an unknown version.
    """
    if model_file.is_dir():
        raise UserError(f"`{parameter}={model_file}` is a folder: give the best_model.keras in it")
    if not model_file.is_file():
        raise UserError(
            f"`{parameter}={model_file}` does not exist: give the best_model.keras of a tune_cnn "
            "run"
        )
    try:
        with model_file.open() as stream, zipfile.ZipFile(stream) as archive:
            _refuse_bombs(archive, model_file.num_bytes())
            content = json.loads(archive.read(_CARD_NAME))
            if _DECISIONS_NAME in archive.namelist():
                content |= json.loads(archive.read(_DECISIONS_NAME))
        content = renew(content)
        if content["version"] != CARD_VERSION:
            raise UserError(
                f"`{parameter}={model_file}` has model version {content['version']}, but this "
                f"freqquest reads 2 to {CARD_VERSION}: run tune_cnn again, or use the freqquest "
                "that made it"
            )
        curve, embedding = content.get("coverage_curve"), content.get("embedding")
        parts = {
            "coverage_curve": curve and CoverageCurve([Point(*each) for each in curve["points"]]),
            "clip": ClipConfig(**content["clip"]),
            "windows": WindowConfig(**content.get("windows", {})),
            "view": SpectrogramConfig(**content["view"]),
            "normalization": Normalization(**content["normalization"]),
            "embedding": embedding and EmbeddingConfig(**embedding),
        }
        card = ModelCard(**content | parts)
        check_types(card, ModelCard)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"`{parameter}={model_file}` is not a readable model file ({error}): give the "
            "best_model.keras of a tune_cnn run"
        ) from error
    return card


def _refuse_bombs(archive: zipfile.ZipFile, num_bytes: int) -> None:
    """Refuse parts that would take far more memory than the file: weights hardly compress."""
    for part in archive.infolist():
        if part.file_size > _MAX_COMPRESSED_BYTES + 10 * min(part.compress_size, num_bytes):
            raise ValueError(f"its part {part.filename} inflates to {part.file_size:,} bytes")


def load_model(model_file: Location) -> "keras.Model":
    """Load the network for inference.

    Raises:
        UserError: Keras cannot load the file, or refuses it for the code in it (safe mode).
    """
    from freqquest.cnn.frameworks import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model_file.read_bytes())
        try:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds
            problem = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{model_file} cannot be loaded ({problem}): give the best_model.keras of a "
                "tune_cnn run"
            ) from error


def to_bytes(model: "keras.Model") -> bytes:
    """Return a model as the bytes of a `.keras` file, without a card."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
