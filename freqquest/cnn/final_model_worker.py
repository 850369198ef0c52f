"""TODO: say what this module is for."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.model_file import ModelCard, add_card, load_model
from freqquest.cnn.network import average
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras


def finds_gpu() -> bool:
    """Whether TensorFlow can train on the GPU that this task was given."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def fit_network(
    clips: LabeledClips,
    network: CnnConfig,
    part: SplitRows,
    max_epochs: int,
    seed: int,
    num_threads: int,
    place: Location,
) -> np.ndarray | None:
    """Fit one network and save it, without a card, unless an earlier run has done so.

    Returns:
        Its probabilities `[N, K]` for the part's validation clips, if there are any; None if its loss did not stay
        finite, in which case it is not saved.
    """
    from freqquest.cnn.training import DivergedError, fit, predict_probabilities, prepare_tensorflow

    prepare_tensorflow(num_threads, use_gpu=bool(ray.get_gpu_ids()))
    if place.is_file():
        model = load_model(place)
    else:
        try:
            model = fit(network, clips, part, max_epochs=max_epochs, seed=seed)
        except DivergedError:
            return None
        place.write_bytes(_keras_file(model))
    if not len(part.validation):
        return np.zeros((0, len(clips.classes)))
    return predict_probabilities(model, clips.spectrograms[part.validation])


def save_final(members: list[Location], card: ModelCard, place: Location) -> None:
    """Average the networks into one calibrated model, and save it with its card."""
    from freqquest.cnn.training import prepare_tensorflow

    prepare_tensorflow(1, use_gpu=False)
    model = average([load_model(member) for member in members], card.temperature)
    place.write_bytes(add_card(_keras_file(model), card))


def _keras_file(model: "keras.Model") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
