"""The tune stage: search, evaluate, audit, and train the final model, in one run folder."""

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import ray

from freqquest import plots
from freqquest.cluster import capacity
from freqquest.cluster.tasks import cancel_on_error
from freqquest.cnn import final_model
from freqquest.cnn.comparison import compare
from freqquest.cnn.config import PRESETS
from freqquest.cnn.earlier_model import EarlierModel, compare_classes, find_earlier_model
from freqquest.cnn.frameworks import Backend
from freqquest.cnn.gpu_backend import find_gpu_backend
from freqquest.cnn.held_out_clips import write_held_out_clips
from freqquest.cnn.labeled_clips import (
    LabeledClips,
    SplitRows,
    add_extra,
    cross_validation,
    dataset_split,
    load_labeled,
)
from freqquest.cnn.leakage_audit import audit_report, audit_splits
from freqquest.cnn.search.outcome import Outcome
from freqquest.cnn.search.run import run_search, search_space
from freqquest.cnn.search.selection import choose, draw, evaluate, held_out
from freqquest.cnn.start_weights import Start, read_start
from freqquest.cnn.tune_config import ClassifierChoice, TuneConfig
from freqquest.dataset.clip_inputs import dataset_analysis
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.sources import digest, find_extra
from freqquest.dataset.spectrogram_stream import load_inputs
from freqquest.dataset.views import require_recipe_views
from freqquest.embedding.runtime import require_packages
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.folder import RunFolder
from freqquest.runs.metrics import CnnMetrics
from freqquest.runs.tracker import require_tracker
from freqquest.storage import Location, locate


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneRequest:
    """What the settings ask for, as far as it can be checked without Ray."""

    dataset: Location
    manifest: Manifest
    start: EarlierModel | None
    """Model to train on from."""
    choice: ClassifierChoice
    extra: pd.DataFrame
    """Extra clips."""
    run: RunFolder
    finished: CnnMetrics | None
    """Metrics of a run that has finished before."""


def check_request(config: TuneConfig) -> TuneRequest:
    """Check the settings, the dataset and the run folder. Needs no Ray.

    Raises:
        UserError: One of them is not usable.
    """
    require_tracker(config.track)
    dataset = locate(config.dataset_dir)
    manifest, start = load_manifest(dataset), None
    if config.start_from is not None:
        start = find_earlier_model(config.start_from, dataset, manifest)
        manifest = start.adopt(manifest)
    search_space(config, None if start is None else start.cnn_config)
    choice = _choice(config, manifest)
    if config.preset == "reference":
        manifest.require_one_label(config.dataset_dir, "`preset=reference`", "use `preset=default`")
        require_recipe_views(manifest.clip, manifest.views, "cnn")
    extra = find_extra(config.extra_clips, manifest.classes)
    run = RunFolder(config.run_dir, "cnn", _settings(config, manifest, extra, start))
    return TuneRequest(
        dataset=dataset,
        manifest=manifest,
        start=start,
        choice=choice,
        extra=extra,
        run=run,
        finished=cast(CnnMetrics | None, run.finished()),
    )


def tune_cnn(config: TuneConfig, request: TuneRequest | None = None) -> CnnMetrics:
    """Find the best configuration, evaluate it, and save the final model.

    Needs an initialized Ray, unless the run has finished before; then it is left as it is. Leaves
    best_model.keras, trials.csv, predictions of the validation clips, plots and TensorBoard logs.

    Args:
        config: Settings of the stage.
        request: The same settings, if they were checked already.

    Returns:
        Metrics of the best configuration.

    Raises:
        UserError: The dataset or run folder is not usable, or no trial finished.
    """
    request = request or check_request(config)
    if request.finished is not None:
        return request.finished
    dataset, manifest, run = request.dataset, request.manifest, request.run
    capacity.trial_resources(
        config.effective_num_trials, cpus_each=config.cpus_per_trial, use_gpu=config.use_gpu
    )
    clips = load_clips(dataset, manifest, request.extra)
    splits = _splits(config, clips)
    audit = audit_splits(clips, config.seed) if config.audit_leakage else {}
    gpu_backend = _find_gpu_backend(config)
    config = dataclasses.replace(config, use_gpu=gpu_backend is not None)
    run.begin()
    shared_clips = ray.put(clips)
    clips = ray.get(shared_clips)  # a view of the shared copy, which frees the driver's own

    start = None
    if request.start is not None:
        start = _read_start(request.start, shared_clips, splits[0])
    outcomes: list[Outcome] = []
    if request.choice != "embedding":
        outcomes = run_search(
            config,
            manifest,
            shared_clips,
            splits,
            run.location,
            gpu_backend,
            clips.held_bytes,
            start,
        )
    best = choose(outcomes, clips) if outcomes else None
    comparison = compare(request.choice, best, clips, shared_clips, splits)
    kept, split = comparison.kept, _describe_split(config, clips, manifest)
    search_metrics = evaluate(outcomes, best, kept, clips, split)
    if comparison.metrics is not None:
        search_metrics["classifiers"] = comparison.metrics
    _write_plots(draw(outcomes, kept, clips, search_metrics), run)
    write_held_out_clips(kept, clips, search_metrics, manifest.clip, run.location)

    parts = final_model.fit_parts(
        config, clips, shared_clips, comparison, audit, run.location, gpu_backend, start
    )
    final_metrics = {
        "num_members": len(parts.networks),
        "num_extra_clips": len(request.extra),
        "trained_on": final_model.describe_training_clips(
            config,
            parts,
            len(request.extra),
            has_unknown_start=request.start is not None and not request.start.is_unheard,
        ),
    }
    metrics = cast(CnnMetrics, search_metrics | final_metrics)
    if request.start is not None and start is not None and best is not None:
        metrics["start"] = compare_classes(request.start, best, start.probabilities, clips)
    if config.audit_leakage:
        metrics["audit"] = audit_report(clips, audit, parts.audited)
    of_held_out = held_out(kept, clips, metrics)
    final_model.save(parts, dataset, manifest, metrics, of_held_out, run / layout.MODEL_NAME)
    return cast(CnnMetrics, run.finish(metrics))


def _choice(config: TuneConfig, manifest: Manifest) -> ClassifierChoice:
    """Return the classifier to keep; a dataset without an embedding, and the recipe, have a CNN.

    Raises:
        UserError: The settings name a classifier that the dataset cannot have, or the packages that
            run the pretrained network are not installed.
    """
    if manifest.embedding is None and config.classifier in ("embedding", "fusion"):
        raise UserError(
            f"`classifier={config.classifier}` needs a dataset with an embedding, and "
            f"`dataset_dir={config.dataset_dir}` has none: make one with `embedding` of the "
            "preprocess job, or leave it out"
        )
    if manifest.embedding is None or config.preset == "reference":
        return "cnn"
    if config.classifier != "cnn":
        require_packages(manifest.embedding.name)  # the final model needs them, hours later
    return config.classifier


def _find_gpu_backend(config: TuneConfig) -> Backend | None:
    """Return Keras' backend on GPUs; None for CPU cores, which mixed precision refuses."""
    gpu_backend = find_gpu_backend() if config.use_gpu else None
    if gpu_backend is None and config.mixed_precision:
        raise UserError(
            "`mixed_precision=True` needs a GPU that TensorFlow or PyTorch can use: check the "
            "NVIDIA driver of the GPU nodes, or leave it out"
        )
    return gpu_backend


def _splits(config: TuneConfig, clips: LabeledClips) -> list[SplitRows]:
    """Return the splits that each trial is trained and scored on: folds, or the dataset's own."""
    if config.num_folds:
        return cross_validation(clips, config.num_folds, config.seed)
    return [dataset_split(clips)]


def _read_start(model: EarlierModel, shared_clips: ray.ObjectRef, split: SplitRows) -> Start:
    """Read an earlier model in a Ray task, as the driver loads no Keras."""
    remote_read = ray.remote(num_cpus=1, max_calls=1)(read_start)
    task = remote_read.remote(model, shared_clips, split.validation)
    with cancel_on_error([task]):
        start: Start = ray.get(task)
    return start


def _write_plots(pictures: dict[str, np.ndarray], run: RunFolder) -> None:
    """Write the picture of the classes beside the model, and the other plots into figures/."""
    for name, picture in pictures.items():
        is_main = name in (layout.CONFUSION_MATRIX_NAME, layout.CLASS_SCORES_NAME)
        folder = run.location if is_main else run / layout.FIGURES_DIR
        (folder / name).write_bytes(plots.png(picture))


def load_clips(dataset: Location, manifest: Manifest, extra: pd.DataFrame) -> LabeledClips:
    """Load a dataset's labeled clips, and the extra clips, analyzed in the same way."""
    clips = load_labeled(dataset, manifest)
    if extra.empty:
        return clips
    inputs = load_inputs(extra["path"].tolist(), dataset_analysis(dataset, manifest))
    return add_extra(clips, extra, inputs)


def _settings(
    config: TuneConfig, manifest: Manifest, extra: pd.DataFrame, start: EarlierModel | None = None
) -> dict[str, object]:
    """Return all settings that shape the results.

    The preset is recorded by its values, which differ between versions of freqquest; extra clips
    are recorded by their names, labels, sizes and modification times.
    """
    names = ("preset", "num_folds", "only", "audit_leakage", "seed")
    preset = dataclasses.asdict(PRESETS[config.preset])
    # In bands of 128, so that run folders from before it was a share stay valid.
    preset["band_shift"] = round(128 * preset["band_shift"])
    # Left out where they are as ever, so that run folders from before them stay valid.
    optional: dict[str, object] = {"mixed_precision": True} if config.mixed_precision else {}
    if config.classifier != "auto":
        optional["classifier"] = config.classifier
    if start is not None:
        optional["start_from_sha256"] = start.sha256
    return {
        **optional,
        **{name: getattr(config, name) for name in names},
        "dataset_sha256": manifest.content_sha256,
        "extra_clips_sha256": None if extra.empty else digest(extra),
        "num_trials": config.effective_num_trials,
        "max_epochs": config.effective_max_epochs,
        "num_members": config.effective_num_members,
        **{f"preset.{name}": value for name, value in preset.items()},
    }


def _describe_split(config: TuneConfig, clips: LabeledClips, manifest: Manifest) -> str:
    """Describe the split that the score belongs to."""
    if config.num_folds is None:
        return manifest.split_description
    if all(
        group in (clip_id, clip_id.rpartition("#")[0])
        for group, clip_id in zip(clips.groups, clips.clip_ids, strict=True)
    ):
        return (
            f"cross-validation over {config.num_folds} parts of clips, whose recordings are unknown"
        )
    kind = "recordings" if clips.groups.equals(clips.recordings) else "the dataset's own folds"
    return f"cross-validation over {config.num_folds} parts, by {kind}"
