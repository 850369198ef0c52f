"""The judge: a classifier in a process of its own that scores generated clips.

Of a dataset with an embedding, the process holds a second judge, which hears by that network.
Its caller loads no TensorFlow. No Ray is loaded until a judge is started or called.
Shapes: N clips, S samples, M mel bands, T frames, K classes, D features.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from freqquest.cluster import connection
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import input_batches, model_inputs
from freqquest.dataset.clip_inputs import Inputs, join
from freqquest.dataset.manifest import Manifest
from freqquest.embedding.network import read_again
from freqquest.errors import UserError
from freqquest.storage import Location

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_BATCH = 64
"""Waveforms whose spectrograms are in memory together."""

_LENGTH_TOLERANCE = 0.02
"""Relative difference in length that does not matter; clips of the recipe's spectrograms are 0.2 %
shorter than the dataset's."""

_HEAD_THRESHOLD = 0.5
"""Probability from which the second judge hears each of several labels."""


def check_judge(
    model_file: Location, dataset: Location, manifest: Manifest, parameter: str = "judge"
) -> ModelCard:
    """Return the card of a judge that suits a training. Needs no Ray.

    Raises:
        UserError: As `start_judge`.
    """
    card, name = read_card(model_file, parameter), f"`{parameter}={model_file}`"
    require_classes(card, manifest.classes, name)
    require_view(card, manifest, name)
    require_vectors(card, manifest, name)
    if manifest.embedding is not None:
        read_again(manifest.embedding, dataset / manifest.embedding.file_name)
    return card


def start_judge(
    model_file: Location, dataset: Location, manifest: Manifest, parameter: str = "judge"
) -> "RemoteJudge":
    """Start a `Judge` beside a training; it uses a core only while it is called.

    Needs an initialized Ray.

    Args:
        model_file: The best_model.keras of a run.
        dataset: Dataset of the training.
        manifest: Its manifest, whose classes set the order of the probabilities.
        parameter: Name of the parameter that gave the path, for error messages.

    Raises:
        UserError: The file is missing or corrupt, the classifier has other classes, clips or
            spectrograms than the dataset, or the dataset's pretrained network is not usable.
    """
    card = check_judge(model_file, dataset, manifest, parameter)
    embedded = None if manifest.embedding is None else (dataset, manifest)
    return _start(model_file, card, manifest.classes, embedded)


def start_judge_of_sounds(
    model_file: Location, classes: list[str], duration_s: float
) -> "RemoteJudge":
    """Start a `Judge` of waveforms alone, whose spectrograms it computes itself.

    Args:
        model_file: The best_model.keras of a run; errors call it `judge`.
        classes: Classes, which set the order of the probabilities.
        duration_s: Length of the waveforms.

    Raises:
        UserError: The file is missing or corrupt, or the classifier has other classes or clips of
            another length.
    """
    card, name = read_card(model_file, "judge"), f"`judge={model_file}`"
    require_classes(card, classes, name)
    if abs(card.clip.duration_s - duration_s) > _LENGTH_TOLERANCE * duration_s:
        raise UserError(
            f"{name} classifies clips of {card.clip.duration_s:g} s, but those of the generator "
            f"last {duration_s:.3g} s: give a classifier of clips of that length"
        )
    return _start(model_file, card, classes)


def _start(
    model_file: Location,
    card: ModelCard,
    classes: list[str],
    embedded: tuple[Location, Manifest] | None = None,
) -> "RemoteJudge":
    import ray

    from freqquest.cnn.judge_worker import Judges

    actor = ray.remote(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=3,
        scheduling_strategy=connection.on_driver_node(),
    )(Judges).remote(model_file, classes, embedded)
    judge = RemoteJudge(actor, thresholds_of(card, classes))
    if embedded is not None:
        several = embedded[1].has_several_labels
        thresholds = np.full(len(classes), _HEAD_THRESHOLD) if several else None
        judge.by_embedding = RemoteJudge(actor, thresholds, number=1)
    return judge


def thresholds_of(card: ModelCard, classes: list[str]) -> np.ndarray | None:
    """Return the thresholds of the classes, in their order; None if clips have one label."""
    if card.thresholds is None:
        return None
    by_class = dict(zip(card.classes, card.thresholds, strict=True))
    return np.array([by_class[label] for label in classes])


def require_classes(card: ModelCard, classes: list[str], name: str) -> None:
    """Refuse a classifier with other classes, whose accuracy would mean nothing.

    Its background does not count: it is ignored.

    Raises:
        UserError: The classes differ; their order does not matter.
    """
    unknown = sorted(set(classes) - set(card.classes))
    other = sorted(set(card.classes) - set(classes) - {card.background_label})
    if unknown or other:
        differences = [f"does not know {', '.join(unknown)}"] * bool(unknown)
        differences += [f"also knows {', '.join(other)}"] * bool(other)
        raise UserError(
            f"{name} {' and '.join(differences)}: give a classifier that tune_cnn made from the "
            "same classes"
        )


def require_view(
    card: ModelCard,
    manifest: Manifest,
    name: str,
    fix: str = "give a classifier that tune_cnn made from this dataset",
) -> None:
    """Refuse a classifier of other clips or spectrograms: it would misread the dataset's."""
    pairs = ((card.clip, manifest.clip), (card.view, manifest.views["cnn"]))
    differences = [
        f"{field} {value} instead of {asdict(wanted)[field]}"
        for own, wanted in pairs
        for field, value in asdict(own).items()
        if value != asdict(wanted)[field]
    ]
    if differences:
        raise UserError(
            f"{name} is made for other clips than the dataset's, with {', '.join(differences)}: "
            f"{fix}"
        )


def require_vectors(card: ModelCard, manifest: Manifest, name: str) -> None:
    """Refuse a classifier of vectors that the dataset does not have.

    Raises:
        UserError: The dataset has no embedding, or another one.
    """
    if card.embedding not in (None, manifest.embedding):
        raise UserError(
            f"{name} needs vectors by {card.embedding.name}, which the dataset does not have: give "
            "a classifier that tune_cnn made from this dataset"
        )


class RemoteJudge:
    """A `Judge` in another process, called like an object in this one.

    It can be pickled, for workers that share the judge.
    """

    by_embedding: "RemoteJudge | None" = None
    """The second judge, if the dataset has an embedding."""

    def __init__(
        self, actor: "ActorHandle", thresholds: np.ndarray | None = None, number: int = 0
    ) -> None:
        """Call an actor.

        Args:
            actor: Handle of `Judges`.
            thresholds: Probability `[K]` from which a clip has each class; None if clips have one
                label, the most probable class.
            number: Number of the judge in its process.
        """
        self._actor, self.thresholds, self._number = actor, thresholds, number

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the result of `Judge.classify_waveforms`."""
        return _fetch(
            self._actor.classify_waveforms.remote(self._number, waveforms, sample_rate_hz)
        )

    def classify_inputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the result of `Judge.classify_inputs`."""
        if self._number:  # it takes the vectors alone
            inputs = inputs._replace(spectrograms=inputs.spectrograms[:, :0])
        return _fetch(self._actor.classify_inputs.remote(self._number, inputs))


def _fetch(result: object) -> tuple[np.ndarray, np.ndarray]:
    import ray

    probabilities, features = ray.get(result)
    return probabilities, features


class Judge:
    """A classifier that scores clips."""

    def __init__(self, model_file: Location, classes: list[str], num_threads: int = 1) -> None:
        from freqquest.cnn.average import with_features
        from freqquest.cnn.devices import Device, prepare

        prepare(Device(num_threads=num_threads))
        self._card = read_card(model_file)
        require_classes(self._card, classes, str(model_file))
        self._analysis = self._card.analysis(model_file)
        self._model = with_features(
            load_model(model_file),
            self._card.temperature,
            several_labels=self._card.has_several_labels,
        )
        self._order = [self._card.classes.index(label) for label in classes]

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classify waveforms, cut or padded to the classifier's length as in prediction.

        Args:
            waveforms: `[N, S]`, mono, full scale 1.0.
            sample_rate_hz: Sample rate of the waveforms.

        Returns:
            Probabilities `[N, K]` and features `[N, D]`, both float32. Those of the classes are as
            the classifier has them: beside a background they sum to less than 1.

        Raises:
            ValueError: A waveform has NaN or infinite samples.
        """
        outputs = []
        for start in range(0, len(waveforms), _BATCH):
            batch = waveforms[start : start + _BATCH].astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(batch).all(axis=1))
            if len(bad):
                raise ValueError(f"waveform {start + bad[0]} has NaN or infinite samples")
            inputs = join(self._analysis.fit(clip, sample_rate_hz) for clip in batch)
            outputs.append(self.classify_inputs(inputs))
        return _concatenate(outputs)

    def classify_inputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Classify clips of a dataset: those in its view `cnn`, and their vectors if it has any.

        Returns:
            Probabilities `[N, K]` and features `[N, D]`, as `classify_waveforms` does.

        Raises:
            ValueError: The shape differs from that of the classifier's training clips.
        """
        expected = (self._card.view.num_mels, self._card.view.num_frames)
        if inputs.spectrograms.shape[1:] != expected:
            raise ValueError(
                f"spectrograms have shape {inputs.spectrograms.shape}, but the classifier needs "
                f"[N, *{expected}]"
            )
        probabilities, features = _concatenate(
            [
                self._model.predict_on_batch(model_inputs(self._model, batch))
                for batch in input_batches(inputs)
            ]
        )
        return probabilities[:, self._order], features


def _concatenate(
    outputs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Join the probabilities and the features of several batches."""
    probabilities, features = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return probabilities, features
