"""The final model: the kept classifier trained on all labeled clips, averaged and calibrated.

The driver plans and waits; Ray tasks train and save. It never loads Keras.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import ray

from freqquest.cluster.tasks import cancel_on_error
from freqquest.cnn.abstention import held_out_curve
from freqquest.cnn.candidates import Candidate, fuse
from freqquest.cnn.comparison import Comparison, fit_heads
from freqquest.cnn.final_model_worker import save_final_model
from freqquest.cnn.final_networks import Predictions, fit_networks
from freqquest.cnn.frameworks import Backend
from freqquest.cnn.heads import Head, mean_head
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, all_clips
from freqquest.cnn.model_card import ALL_CLIPS, UNKNOWN_START, ModelCard
from freqquest.cnn.scores import Score, score_of
from freqquest.cnn.search.outcome import HeldOut
from freqquest.cnn.start_weights import Start
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.clip_inputs import dataset_analysis
from freqquest.dataset.manifest import Manifest
from freqquest.embedding.config import EmbeddingConfig
from freqquest.runs.metrics import CnnMetrics
from freqquest.storage import Location


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


def fit_parts(
    config: TuneConfig,
    clips: LabeledClips,
    shared_clips: ray.ObjectRef,
    comparison: Comparison,
    audit: dict[str, SplitRows],
    run: Location,
    gpu_backend: Backend | None = None,
    start: Start | None = None,
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
        start: Earlier model that the networks start from.
    """
    best, kept = comparison.best, comparison.kept
    of_cnn: Predictions = {}
    networks: list[Location] = []
    has_all_clips = config.effective_num_members > 0
    if best is not None and kept.kind != "embedding":
        of_cnn, networks = fit_networks(
            config, clips, shared_clips, best, audit, run, gpu_backend, start
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


def describe_training_clips(
    config: TuneConfig, parts: FinalParts, num_extra: int, *, has_unknown_start: bool
) -> str:
    """Return a description of the clips that the final model was trained on."""
    extra = f" and {num_extra} extra clips" if num_extra else ""
    start = UNKNOWN_START if has_unknown_start else ""
    if parts.has_all_clips:
        return f"{ALL_CLIPS}{extra}{start}"
    if config.num_folds:
        return f"{ALL_CLIPS} but its own part{extra}"
    return f"the training clips{extra}, not the validation clips{start}"


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
