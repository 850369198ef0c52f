"""An earlier model that a search trains on from, and what became of its classes.

No Keras and no Ray. Shapes: N clips, K classes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.judge import require_view
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import read_card
from freqquest.cnn.search.outcome import Outcome
from freqquest.cnn.search.space import cnn_config_of
from freqquest.dataset.manifest import Manifest, content_hashes, sha256
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.metrics import ClassChange, ClassMetrics, StartMetrics
from freqquest.storage import Location, locate

_MAX_LEARNING_RATE = 0.3 * PRESETS["default"].learning_rate
"""Highest peak learning rate: trained weights need smaller steps than random ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierModel:
    """A model that trainings start from."""

    file: Location
    card: ModelCard
    search_network: Location | None
    """Network of its search, which is older than the model and has not heard the validation clips;
    None if the model has not heard them either, or if nobody knows."""
    is_unheard: bool
    """Whether the trials' start is known not to have heard the dataset's validation clips."""
    sha256: str
    """Hash of its file."""

    @property
    def cnn_config(self) -> CnnConfig:
        """Configuration of its networks, with smaller steps."""
        config = cnn_config_of(self.card.cnn_config)
        return replace(
            config,
            learning_rate=min(config.learning_rate, _MAX_LEARNING_RATE),
            # In cards of earlier versions it is a momentum.
            weight_average=config.weight_average and PRESETS["default"].weight_average,
        )

    def adopt(self, manifest: Manifest) -> Manifest:
        """Return the dataset's manifest with the normalization that the networks know."""
        return replace(
            manifest, normalization=manifest.normalization | {"cnn": self.card.normalization}
        )


def find_earlier_model(path: str, dataset: Location, manifest: Manifest) -> EarlierModel:
    """Read the card of a model that a search is to train on from, and check that it suits.

    Args:
        path: File of the model; errors call it `start_from`.
        dataset: Folder of the dataset.
        manifest: Its manifest.

    Raises:
        UserError: The file is not a model with networks on spectrograms, is made for other clips,
            or has heard the clips that would score it.
    """
    file, name = locate(path), f"`start_from={path}`"
    card = read_card(file, "start_from")
    _require_suitable(card, manifest, name)
    is_of_dataset = card.dataset_sha256 in content_hashes(dataset)
    search_network = None
    if is_of_dataset and card.has_heard_validation_clips:
        search_network = _search_network(file, card)
        if search_network is None:
            raise UserError(
                f"{name} was trained on the validation clips of this dataset too, so that they "
                "could not score it: give it where its search left it, beside "
                f"{layout.TRIALS_DIR}/ with networks that have not heard them, or a model of a "
                "search with `num_members=0`"
            )
    return EarlierModel(
        file=file,
        card=card,
        search_network=search_network,
        is_unheard=is_of_dataset and not card.num_extra_clips and not card.has_unknown_start,
        sha256=sha256(file.read_bytes()),
    )


def _require_suitable(card: ModelCard, manifest: Manifest, name: str) -> None:
    """Refuse a model whose networks cannot be trained on with a dataset."""
    if not card.cnn_config:
        raise UserError(
            f"{name} has no network on spectrograms to train on: leave it out, as a classifier of "
            "vectors is fitted anew in seconds"
        )
    require_view(
        card, manifest, name, fix="make the dataset with its settings, or leave out `start_from`"
    )
    if card.has_several_labels != manifest.has_several_labels:
        kinds = ["one label", "several labels"]
        raise UserError(
            f"{name} was trained on clips with {kinds[card.has_several_labels]} each, and those of "
            f"the dataset have {kinds[manifest.has_several_labels]}: leave it out"
        )
    if not set(card.classes) & set(manifest.classes):
        raise UserError(
            f"{name} knows {', '.join(card.classes)}, none of which is a class of the dataset: "
            "leave it out, or name the classes alike"
        )


def _search_network(model_file: Location, card: ModelCard) -> Location | None:
    """Return the network of the trial that a model's search chose; None if it is not there.

    Networks of a cross-validation do not count: each has heard most validation clips.
    """
    run = model_file.parent
    try:
        metrics = json.loads((run / layout.METRICS_NAME).read_bytes())["cnn"]
        known = {"cnn_config": card.cnn_config, **card.scores}
        if any(metrics.get(name) != value for name, value in known.items()):
            return None  # of another model
        trial = run / layout.TRIALS_DIR / str(metrics["trial"])
        folders = [each for each in trial.list_dir() if each.name.startswith("checkpoint_")]
        networks = [
            each
            for folder in folders
            for each in folder.list_dir()
            if each.name.startswith("model_")
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return networks[0] if len(networks) == 1 else None


def compare_classes(
    model: EarlierModel, best: Outcome, before: np.ndarray, clips: LabeledClips
) -> StartMetrics:
    """Compare the classes that a model knew before and after the training.

    Args:
        model: The model.
        best: The chosen trial, which started from it.
        before: Probabilities `[N, K]` of the trial's validation clips by the network that it
            started from, for the classes of the dataset; 0 for those that are new.
        clips: Clips that the trial's rows refer to.
    """
    rows, after = best.predictions
    labels, known = clips.labels[rows], set(model.card.classes)
    columns = [index for index, label in enumerate(clips.classes) if label in known]
    has_known = labels[:, columns].any(axis=1)
    labels, before, after = labels[has_known], before[has_known], after[has_known]
    earlier, later = (
        clips.score.by_class(each, labels, clips.classes) if len(labels) else {}
        for each in (before, after)
    )
    by_class = {
        label: ClassChange(
            before=_of_class(earlier.get(label)),
            after=_of_class(later.get(label)),
            num_clips=int(labels[:, index].sum()),
        )
        for index, label in enumerate(clips.classes)
        if index in columns
    }
    return StartMetrics(
        model=str(model.file),
        is_unheard=model.is_unheard,
        new_classes=_without(clips.classes, known),
        dropped_classes=_without(model.card.classes, clips.classes),
        num_clips=int(has_known.sum()),
        before=_score(clips, before, labels, columns),
        after=_score(clips, after, labels, columns),
        by_class=by_class,
    )


def _of_class(metrics: ClassMetrics | None) -> float | None:
    if metrics is None or not metrics["support"]:
        return None
    return metrics["average_precision"] if "average_precision" in metrics else metrics["recall"]


def _score(
    clips: LabeledClips, probabilities: np.ndarray, labels: np.ndarray, columns: list[int]
) -> float:
    """Return the score over some classes; of one label, answers of any class count."""
    if clips.has_several_labels:
        probabilities, labels = probabilities[:, columns], labels[:, columns]
    return clips.score.compute(probabilities, labels) if len(labels) else 0.0


def _without(labels: Sequence[str], others: Sequence[str] | set[str]) -> list[str]:
    return [label for label in labels if label not in others]
