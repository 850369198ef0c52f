"""A classifier as a graph from waveforms to probabilities, in each format, by Keras' own export.

Keras is imported inside the functions; no Ray. Shapes: N clips, S samples, M mel bands, T frames, K
classes.
"""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqquest.cnn.model_card import ModelCard
from freqquest.export import description
from freqquest.export.config import ONNX_OPSET, Format
from freqquest.export.front_end import log_mel

if TYPE_CHECKING:
    import keras


def with_front_end(network: "keras.Model | None", card: ModelCard) -> "keras.Model":
    """Return a model from waveforms `[N, S]` to a network's probabilities `[N, K]`.

    Without a network, return one to spectrograms `[N, M, T, 1]`.
    """
    from freqquest.cnn.frameworks import keras

    waveforms = keras.Input((card.clip.num_samples,), name="waveform")
    spectrograms = log_mel(waveforms, card.view, card.clip.sample_rate_hz)
    if network is None:
        return keras.Model(waveforms, {"spectrogram": spectrograms})
    return keras.Model(waveforms, {"probabilities": network(spectrograms)})


def write_classifier(network: "keras.Model", card: ModelCard, kind: Format, path: Path) -> None:
    """Write a classifier in a format, with its description inside."""
    model = with_front_end(network, card)
    if kind == "litert":
        write_litert(to_bytes(model, kind), card, path)
    elif kind == "onnx":
        content = to_bytes(model, kind, opset_version=ONNX_OPSET)
        path.write_bytes(description.add_to_onnx(content, description.describe_classifier(card)))
    else:
        _export(model, path, "tf_saved_model")
        description.add_to_saved_model(path, description.describe_classifier(card))


def write_litert(content: bytes, card: ModelCard, path: Path) -> None:
    """Write the content of a LiteRT file, with the classifier's description inside."""
    path.write_bytes(description.add_to_litert(content, description.describe_classifier(card)))


def to_bytes(model: "keras.Model", kind: Format, **options: object) -> bytes:
    """Return a model as the content of a file of ONNX or LiteRT."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"  # the ending that Keras asks for
        _export(model, path, kind, **options)
        return path.read_bytes()


def _export(model: "keras.Model", path: Path, kind: str, **options: object) -> None:
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras asks for a first call
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx, and of the converter that Keras uses
        model.export(path, format=kind, verbose=False, **options)
