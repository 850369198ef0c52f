"""Weights that trainings start from, taken from the networks of an earlier model.

Keras is imported inside the functions; no Ray. Shapes: N clips, K classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freqquest.cnn.average import members_of, output_layers
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.model_file import load_model
from freqquest.cnn.network import input_name, predict_probabilities

if TYPE_CHECKING:
    import keras

    from freqquest.cnn.earlier_model import EarlierModel


@dataclass(frozen=True, slots=True)
class StartWeights:
    """Weights of a trained network."""

    classes: list[str]
    """Its classes."""
    weights: list[np.ndarray]
    """In Keras' order."""

    def give_to(self, model: "keras.Model", classes: tuple[str, ...]) -> None:
        """Set the weights of a network of the same configuration, whose classes may differ.

        Classes that are new keep the weights that they have.
        """
        from freqquest.cnn.frameworks import keras

        of_classes = {id(each) for layer in output_layers(model) for each in layer.weights}
        for variable, values in zip(model.weights, self.weights, strict=True):
            if id(variable) in of_classes:
                mixed = np.array(keras.ops.convert_to_numpy(variable))
                for index, label in enumerate(classes):
                    if label in self.classes:
                        mixed[..., index] = values[..., self.classes.index(label)]
                values = mixed
            variable.assign(values)


class Start(NamedTuple):
    """All that a search needs of an earlier model."""

    cnn_config: CnnConfig
    """Configuration that it starts from."""
    of_search: StartWeights
    """Start of the trials."""
    of_members: list[StartWeights]
    """Starts of the final model's networks, in turn."""
    probabilities: np.ndarray
    """Probabilities `[N, K]` of the validation clips by the trials' start; 0 for new classes."""


def read_start(model: "EarlierModel", clips: LabeledClips, rows: np.ndarray) -> Start:
    """Read the networks of an earlier model, and let them predict the validation clips.

    Args:
        model: The model.
        clips: Clips of the dataset.
        rows: Rows of the validation clips `[N]`.

    Raises:
        UserError: Keras cannot load one of the files.
    """
    prepare(Device())
    members = [
        each
        for each in members_of(load_model(model.file))
        if input_name(each.input_shape) == "spectrogram"
    ]
    first = members[0] if model.search_network is None else load_model(model.search_network)
    known = model.card.classes
    by_model = predict_probabilities(first, clips.inputs(rows))
    probabilities = np.zeros((len(rows), len(clips.classes)))
    for index, label in enumerate(clips.classes):
        if label in known:
            probabilities[:, index] = by_model[:, known.index(label)]
    return Start(
        model.cnn_config,
        StartWeights(known, first.get_weights()),
        [StartWeights(known, member.get_weights()) for member in members],
        probabilities,
    )
