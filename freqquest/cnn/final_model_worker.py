"""The remote side of the final model: train one network, and average several into the model file.

Keras is imported inside the functions, so that the driver never loads it.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

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
from freqquest.cnn.save_timer import SAVE_INTERVAL_S, SaveTimer
from freqquest.cnn.search.outcome import HeldOut
from freqquest.cnn.start_weights import StartWeights
from freqquest.dataset.clip_inputs import Analysis
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class FitTask:
    """One network to train."""

    cnn_config: CnnConfig
    split: SplitRows
    max_epochs: int
    seed: int
    start: StartWeights | None = None
    """Weights of an earlier model; random ones by default."""
    save_interval_s: float = SAVE_INTERVAL_S


def fit_network(
    clips: LabeledClips, task: FitTask, device: Device, model_file: Location
) -> np.ndarray | None:
    """Train one network and save it without a card, unless an earlier run has done so.

    A training that was interrupted goes on after the epoch that it has saved last.

    Returns:
        Its probabilities `[N, K]` for the split's validation clips (N may be 0); None if the
        training diverged, in which case nothing is saved.
    """
    prepare(device)
    from freqquest.cnn.training import DivergedError

    state_file = model_file.parent / f"{model_file.name}.training"
    if model_file.is_file():
        model = load_model(model_file)
    else:
        try:
            model = _train(clips, task, device, state_file)
        except DivergedError:
            state_file.remove_file()
            return None
        model_file.write_bytes(to_bytes(model))
    state_file.remove_file()
    if not len(task.split.validation):
        return np.zeros((0, len(clips.classes)))
    return predict_probabilities(model, clips.inputs(task.split.validation))


def _train(
    clips: LabeledClips, task: FitTask, device: Device, state_file: Location
) -> "keras.Model":
    """Train a network from its saved state or, if there is none to be used, from the beginning."""
    from freqquest.cnn.training import Epoch, fit
    from freqquest.cnn.training_state import UnusableStateError

    timer = SaveTimer(task.save_interval_s)

    def save(epoch: Epoch) -> None:
        if timer.is_due():
            state_file.write_bytes(epoch.save())

    train = partial(
        fit,
        task.cnn_config,
        clips,
        task.split,
        max_epochs=task.max_epochs,
        seed=task.seed,
        on_epoch=save,
        start=task.start,
        device=device,
    )
    if state_file.is_file():
        try:
            return train(saved=state_file.read_bytes())
        except UnusableStateError as error:
            print(f"a network is trained again, because {state_file} cannot be used: {error}")
    return train()


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
