"""The final model: the kept classifier trained on all labeled clips, averaged and calibrated.

The driver plans and waits; Ray tasks train (`freqquest.cnn.final_model_worker`). It never loads
Keras.
"""

import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import ray

from freqquest.cluster import capacity
from freqquest.cluster.tasks import cancel_on_error
from freqquest.cnn.abstention import held_out_curve
from freqquest.cnn.candidates import Candidate, fuse
from freqquest.cnn.comparison import Comparison, fit_heads
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.devices import Device
from freqquest.cnn.final_model_worker import fit_network, save_final_model
from freqquest.cnn.frameworks import Backend
from freqquest.cnn.heads import Head, mean_head
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, all_clips
from freqquest.cnn.leakage_audit import RECORDING
from freqquest.cnn.model_file import ALL_CLIPS, ModelCard
from freqquest.cnn.scores import Score, score_of
from freqquest.cnn.search.outcome import HeldOut, Outcome
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.clip_inputs import dataset_analysis
from freqquest.dataset.manifest import Manifest
from freqquest.embedding.config import EmbeddingConfig
from freqquest.progress import Progress
from freqquest.runs import layout
from freqquest.runs.metrics import CnnMetrics
from freqquest.storage import Location

Predictions = dict[str, np.ndarray | None]
"""Probabilities `[N, K]` of validation clips, by name of the network; None if it diverged."""


class FinalParts(NamedTuple):
    """The trained parts of the final model, and what the leakage audit needs."""

    networks: list[Location]
    """Files of the CNN's networks; none without a CNN."""
    head: Head | None
    """Head on the embedding; None without it."""
    has_all_clips: bool
    """Whether they were trained on all labeled clips."""
    audited: Predictions
    """The classifier's predictions of the splits of the leakage audit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitTask:
    """One network to train."""

    cnn_config: CnnConfig
    split: SplitRows
    max_epochs: int
    seed: int


def fit_parts(
    config: TuneConfig,
    clips: LabeledClips,
    shared_clips: ray.ObjectRef,
    comparison: Comparison,
    audit: dict[str, SplitRows],
    run: Location,
    gpu_backend: Backend | None = None,
) -> FinalParts:
    """Train the parts of the kept classifier for the final model and for the leakage audit.

    Args:
        config: Settings of the stage.
        clips: All labeled clips.
        shared_clips: The same clips in Ray's object store.
        comparison: The chosen trial, and the classifier that is kept.
        audit: Splits of the leakage audit, by name.
        run: The run folder.
        gpu_backend: Keras' backend on GPUs; None for CPU cores.
    """
    best, kept = comparison.best, comparison.kept
    of_cnn: Predictions = {}
    networks: list[Location] = []
    has_all_clips = config.effective_num_members > 0
    if best is not None and kept.kind != "embedding":
        of_cnn, networks = _fit_networks(
            config, clips, shared_clips, best, audit, run, gpu_backend
        )
        has_all_clips = networks[0].parent != best.checkpoint
    if kept.kind == "cnn":
        return FinalParts(networks, None, has_all_clips, of_cnn)
    fitted = fit_heads(shared_clips, audit.values())
    audited = {
        name: _combine(kept, clips.score, of_cnn.get(name), each.probabilities)
        for name, each in zip(audit, fitted, strict=True)
    }
    heads = comparison.heads
    if has_all_clips:
        heads = [each.head for each in fit_heads(shared_clips, [all_clips(clips)])]
    head = mean_head(heads).divided(kept.head_temperature)
    return FinalParts(networks, head, has_all_clips, audited)


def _combine(
    kept: Candidate, score: Score, of_cnn: np.ndarray | None, of_head: np.ndarray
) -> np.ndarray | None:
    """Return the kept classifier's probabilities; None if its CNN diverged."""
    if kept.kind == "embedding":
        return of_head
    return None if of_cnn is None else fuse(score, of_cnn, of_head, kept.head_temperature)


def _fit_networks(
    config: TuneConfig,
    clips: LabeledClips,
    shared_clips: ray.ObjectRef,
    best: Outcome,
    audit: dict[str, SplitRows],
    run: Location,
    gpu_backend: Backend | None = None,
) -> tuple[Predictions, list[Location]]:
    """Train the networks of the final model and of the leakage audit, side by side.

    Args:
        config: Settings of the stage.
        clips: All labeled clips.
        shared_clips: The same clips in Ray's object store.
        best: The chosen trial.
        audit: Splits of the leakage audit, by name.
        run: The run folder.
        gpu_backend: Keras' backend on GPUs; None for CPU cores.

    Returns:
        Predictions of the networks, and the files of those that make the final model: those trained
        on all labeled clips or, if there are none, those of the best trial.
    """
    members = _member_tasks(config, clips, best)
    known = _known_predictions(best, audit)
    audited = {
        name: _fit_task(config, best, split, best.seed)
        for name, split in audit.items()
        if name not in known
    }
    folder = run / layout.NETWORKS_DIR / best.trial_id
    predictions = fit_all(members | audited, shared_clips, folder, config, gpu_backend)
    networks = [folder / f"{name}.keras" for name in members if predictions[name] is not None]
    if len(networks) < len(members):
        num_diverged = len(members) - len(networks)
        print(
            f"{num_diverged} of {len(members)} networks diverged; the final model leaves them out",
            file=sys.stderr,
        )
    return known | predictions, networks or _trial_networks(config, best)


def _member_tasks(config: TuneConfig, clips: LabeledClips, best: Outcome) -> dict[str, FitTask]:
    """Return the trainings on all labeled clips, by name of the network."""
    # A training that uses validation clips cannot be repeated on all clips.
    num_members = config.effective_num_members if best.cnn_config.schedule == "one_cycle" else 0
    return {
        f"member_{number}": _fit_task(config, best, all_clips(clips), best.seed + number)
        for number in range(num_members)
    }


def _known_predictions(best: Outcome, audit: dict[str, SplitRows]) -> Predictions:
    """Return the predictions of the audit's trainings that the best trial has done already."""
    if RECORDING in audit and np.array_equal(best.predictions[0], audit[RECORDING].validation):
        return {RECORDING: best.predictions[1]}
    return {}


def _fit_task(config: TuneConfig, best: Outcome, split: SplitRows, seed: int) -> FitTask:
    return FitTask(
        cnn_config=best.cnn_config,
        split=split,
        max_epochs=config.effective_max_epochs,
        seed=seed,
    )


def _trial_networks(config: TuneConfig, best: Outcome) -> list[Location]:
    """Return the files of the networks that the best trial trained, one per fold."""
    assert best.checkpoint is not None
    return [best.checkpoint / f"model_{number}.keras" for number in range(config.num_folds or 1)]


def fit_all(
    tasks: dict[str, FitTask],
    shared_clips: ray.ObjectRef,
    folder: Location,
    config: TuneConfig,
    gpu_backend: Backend | None = None,
) -> Predictions:
    """Train networks and save each as `<folder>/<name>.keras`, except for those already there.

    Args:
        tasks: Networks to train, by name.
        shared_clips: LabeledClips in Ray's object store.
        folder: Folder of the networks.
        config: Settings of the stage, for the cores and the share of a GPU that each gets.
        gpu_backend: Keras' backend on GPUs; None for CPU cores.
    """
    if not tasks:
        return {}
    resources = capacity.trial_resources(
        len(tasks),
        cpus_each=config.cpus_per_trial,
        use_gpu=config.use_gpu,
        sharing_gpu=config.trials_per_gpu,
    )
    device = Device(
        num_threads=int(resources["CPU"]),
        gpu_backend=gpu_backend,
        mixed_precision=config.mixed_precision,
    )
    # One training per process (max_calls), which frees Keras' memory and can set its threads.
    remote_fit = ray.remote(
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
        memory=resources["memory"],
        max_calls=1,
    )(fit_network)
    waiting = {
        remote_fit.remote(
            shared_clips,
            task.cnn_config,
            task.split,
            task.max_epochs,
            task.seed,
            device,
            folder / f"{name}.keras",
        ): name
        for name, task in tasks.items()
    }
    predictions: Predictions = {}
    description = "fit the final model"
    with Progress(description, len(tasks), "networks") as progress, cancel_on_error(waiting):
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            predictions[waiting.pop(done)] = ray.get(done)
            progress.update(1)
    return predictions


def describe_training_clips(config: TuneConfig, has_all_clips: bool, num_extra: int) -> str:
    """Return a description of the clips that the final model was trained on."""
    extra = f" and {num_extra} extra clips" if num_extra else ""
    if has_all_clips:
        return f"{ALL_CLIPS}{extra}"
    if config.num_folds:
        return f"{ALL_CLIPS} but its own part{extra}"
    return f"the training clips{extra}, not the validation clips"


def save(
    parts: FinalParts,
    dataset: Location,
    manifest: Manifest,
    metrics: CnnMetrics,
    held_out: HeldOut,
    model_file: Location,
) -> None:
    """Average the parts into the model file, in a Ray task.

    Args:
        parts: The parts.
        dataset: Folder of the dataset that they were trained on.
        manifest: Its manifest.
        metrics: Metrics of the stage.
        held_out: Predictions of held-out clips, for the thresholds of detection and abstention.
        model_file: File to write.
    """
    remote_save = ray.remote(num_cpus=1, max_calls=1)(save_final_model)
    analysis = dataset_analysis(dataset, manifest)
    if parts.head is None:
        analysis = replace(analysis, embedding=None, network_file=None)
    card = _card(manifest, metrics, held_out, analysis.embedding)
    task = remote_save.remote(parts.networks, parts.head, card, analysis, held_out, model_file)
    with cancel_on_error([task]):
        ray.get(task)


def _card(
    manifest: Manifest,
    metrics: CnnMetrics,
    held_out: HeldOut,
    embedding: EmbeddingConfig | None,
) -> ModelCard:
    train_clips, score = manifest.num_clips["train"], score_of(manifest.has_several_labels).name
    thresholds = [metrics["by_class"][label].get("threshold") for label in manifest.classes]
    background = manifest.background_label
    index = None if background is None else manifest.classes.index(background)
    several = manifest.has_several_labels
    sounds = {label: train_clips[label] for label in manifest.sound_classes}
    shown = (score, f"{score}_by_fold", "split", "num_clips")
    return ModelCard(
        classes=manifest.classes,
        background_label=background,
        coverage_curve=None if several else held_out_curve(*held_out, index),
        clip=manifest.clip,
        windows=manifest.windows,
        view=manifest.views["cnn"],
        most_frequent_class=max(sounds, key=lambda label: sounds[label]),
        normalization=manifest.normalization["cnn"],
        dataset_sha256=manifest.content_sha256,
        scores={name: value for name, value in metrics.items() if name in shown},
        cnn_config=metrics["cnn_config"] if metrics["num_members"] else {},
        num_members=metrics["num_members"],
        trained_on=metrics["trained_on"],
        num_extra_clips=metrics["num_extra_clips"],
        temperature=metrics["temperature"],
        thresholds=[each for each in thresholds if each is not None] or None,
        embedding=embedding,
    )
