"""The description that travels inside an exported file, as JSON, and how each format holds it.

An ONNX file has it as the metadata property `freqquest`; a LiteRT file ends with a ZIP archive that
holds it (as LiteRT's own metadata does); a SavedModel has it in its folder `assets.extra`.
"""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqquest.cnn.model_card import ModelCard

if TYPE_CHECKING:
    from freqquest.cgan.generator_file import GeneratorCard

_VERSION = 1
_NAME = "freqquest"
_FILE_NAME = f"{_NAME}.json"
_LABELS_NAME = "labels.txt"
"""Name that tools for LiteRT look for: a class in each line."""

Description = dict[str, Any]


def describe_classifier(card: ModelCard) -> Description:
    """Return what a caller needs to know about an exported classifier."""
    scores = ("thresholds", "temperature", "trained_on", "scores", "dataset_sha256")
    return {
        "version": _VERSION,
        "input": "waveform [N, S], float32, mono, full scale 1.0. Resample the sound to "
        "sample_rate_hz, and cut it or pad it at its end with zeros to num_samples (S)",
        "output": "probabilities [N, K], float32, in the order of classes; the temperature is in "
        "them",
        "classes": card.classes,
        "sample_rate_hz": card.clip.sample_rate_hz,
        "num_samples": card.clip.num_samples,
        "background_label": card.background_label,
        "windows": asdict(card.windows),
        **{name: getattr(card, name) for name in scores},
    }


def describe_generator(card: "GeneratorCard") -> Description:
    """Return what a caller needs to know about an exported generator."""
    return {
        "version": _VERSION,
        "input": "noise [N, Z], float32, normally distributed, and label [N], int64, positions in "
        "classes",
        "output": "spectrogram [N, M, T], float32, ln(1 + power) in the bands and frames of view; "
        "the first audible_frames become sound, by inversion outside of this file. If "
        "needs_rotation, rotate them in time by a random number of frames first: the network puts "
        "the sounds of all clips of a class at about the same moment",
        "needs_rotation": card.cgan_config.augment,
        "classes": card.classes,
        "noise_dim": card.cgan_config.noise_dim,
        "sample_rate_hz": card.sample_rate_hz,
        "num_samples": card.num_samples,
        "audible_frames": card.scale.audible_frames,
        "view": asdict(card.view),
        "dataset_sha256": card.dataset_sha256,
    }


def add_to_onnx(content: bytes, description: Description) -> bytes:
    """Return an ONNX file with a description, after a check of the file."""
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {_NAME: json.dumps(description)})
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.checker.check_model(model, full_check=True)
    checked: bytes = model.SerializeToString()
    return checked


def add_to_litert(content: bytes, description: Description) -> bytes:
    """Return a LiteRT file with a description and the classes in an archive at its end."""
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(_FILE_NAME, _to_text(description))
        archive.writestr(_LABELS_NAME, "".join(f"{each}\n" for each in description["classes"]))
    return stream.getvalue()


def add_to_saved_model(folder: Path, description: Description) -> None:
    """Write a description into the folder of a SavedModel."""
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / _FILE_NAME).write_text(_to_text(description), encoding="utf-8")


def _to_text(description: Description) -> str:
    return json.dumps(description, indent=1) + "\n"
