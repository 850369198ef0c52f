"""The remote side of the final model: train one network, and average several into the model file.

Keras is imported inside the functions, so that the driver never loads it.
"""

import dataclasses

import numpy as np

from freqquest.cnn.average import average
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.detection_thresholds import detection_thresholds, negative_inputs
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.heads import Head, build_head
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import add_card, load_model, to_bytes
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.search.outcome import HeldOut
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.storage import Location


def fit_network(
    clips: LabeledClips,
    cnn_config: CnnConfig,
    split: SplitRows,
    max_epochs: int,
    seed: int,
    device: Device,
    model_file: Location,
) -> np.ndarray | None:
    """Train one network and save it without a card, unless an earlier run has done so.

    Returns:
        Its probabilities `[N, K]` for the split's validation clips (N may be 0); None if the
        training diverged, in which case nothing is saved.
    """
    prepare(device)
    from freqquest.cnn.training import DivergedError, fit

    if model_file.is_file():
        model = load_model(model_file)
    else:
        try:
            model = fit(cnn_config, clips, split, max_epochs=max_epochs, seed=seed, device=device)
        except DivergedError:
            return None
        model_file.write_bytes(to_bytes(model))
    if not len(split.validation):
        return np.zeros((0, len(clips.classes)))
    return predict_probabilities(model, Inputs(clips.spectrograms[split.validation]))


def save_final_model(
    networks: list[Location],
    head: Head | None,
    card: ModelCard,
    analysis: Analysis,
    held_out: HeldOut,
    model_file: Location,
) -> None:
    """Average the networks and the head into one calibrated model, and save it with its card.

    The card's thresholds of detection are chosen here, where the model is: on its predictions of
    negative clips, and on held-out clips as the search predicted them.
    """
    prepare(Device())
    members = [load_model(network) for network in networks]
    if head is not None:
        members.append(build_head(head))
    model = average(members, card.temperature, several_labels=card.has_several_labels)
    negatives = predict_probabilities(model, negative_inputs(analysis))
    thresholds = detection_thresholds(*held_out, negatives)
    card = dataclasses.replace(card, detection_thresholds=thresholds)
    model_file.write_bytes(add_card(to_bytes(model), card, analysis.network_file))
