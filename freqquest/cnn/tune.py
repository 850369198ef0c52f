"""The classifier's stage: search, judge, audit, and the final model, in one run folder."""

import dataclasses
import sys
from typing import Any

import numpy as np
import pandas as pd
import ray

from freqquest import plots
from freqquest.cluster import capacity
from freqquest.cnn.config import PRESETS, TuneConfig
from freqquest.cnn.final_model import FitTask, fit_all
from freqquest.cnn.final_model_worker import finds_gpu, save_final
from freqquest.cnn.labeled_clips import (
    LabeledClips,
    SplitRows,
    add_extra,
    all_clips,
    cross_validation,
    dataset_split,
    load_labeled,
)
from freqquest.cnn.leakage_audit import RECORDING, audit_parts, audit_report
from freqquest.cnn.model_file import ModelCard
from freqquest.cnn.search.run import Outcome, run_trials, rungs, search_space, table
from freqquest.cnn.search.selection import choose, draw, evaluate
from freqquest.cnn.search.trial import TrialTask
from freqquest.dataset.manifest import Manifest, load_manifest, sha256
from freqquest.dataset.sources import find_extra
from freqquest.dataset.spectrogram_stream import load_spectrograms
from freqquest.runs import layout
from freqquest.runs.folder import RunFolder
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate

_AT_THE_ROOT = {"confusion_matrix"}
"""Pictures that lie beside the model; the others lie in figures/."""


def tune_cnn(config: TuneConfig) -> dict[str, Any]:
    """Find the best configuration, judge it, and save the final model; a finished run is left as it is.

    Needs an initialized Ray. Leaves best_model.keras, trials.csv, pictures and TensorBoard logs.

    Returns:
        The best configuration's metrics: accuracy, the split it belongs to, and figures for each class.

    Raises:
        UserError: The dataset or run folder is not usable, or no trial finished.
    """
    search_space(config)  # refuses what is no setting, before any work
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    capacity.trial_resources(
        config.effective_num_trials, cpus_each=config.cpus_per_trial, use_gpu=config.use_gpu
    )
    extra = find_extra(config.extra_clips, manifest.classes)
    run = RunFolder(config.run_dir, "cnn", _settings(config, manifest, extra))
    finished = run.finished()
    if finished is not None:
        return finished
    clips = load_clips(dataset, manifest, extra)
    parts = (
        cross_validation(clips, config.num_folds, config.seed)
        if config.num_folds
        else [dataset_split(clips)]
    )
    audit = audit_parts(clips, config.seed) if config.audit_leakage else {}
    run.begin()
    config = _without_unusable_gpu(config)
    split = _describe(config, clips, manifest)
    shared = ray.put(clips)
    outcomes = run_search(config, manifest, shared, parts, run.location)
    best = choose(outcomes, clips)
    metrics = evaluate(outcomes, best, clips, split)
    for name, picture in draw(outcomes, best, clips, metrics).items():
        place = (
            run / f"{name}.png"
            if name in _AT_THE_ROOT
            else run / layout.FIGURES_DIR / f"{name}.png"
        )
        place.write_bytes(plots.png(picture))
    predictions, networks = _fit_final_and_audit_models(
        config, clips, shared, best, audit, run.location
    )
    if config.audit_leakage:
        metrics["audit"] = audit_report(clips, audit, predictions)
    metrics |= {"num_members": len(networks), "num_extra_clips": len(extra)}
    metrics["trained_on"] = _trained_on(config, best, networks, len(extra))
    save = ray.remote(num_cpus=1, max_calls=1)(save_final)
    ray.get(save.remote(networks, _card(manifest, metrics), run / layout.MODEL_NAME))
    return run.finish(metrics)


def _without_unusable_gpu(config: TuneConfig) -> TuneConfig:
    """With CPU cores instead of GPUs that TensorFlow does not find: it would hold them, and train on cores."""
    if not config.use_gpu or ray.get(
        ray.remote(num_cpus=0, num_gpus=1, max_calls=1)(finds_gpu).remote()
    ):
        return config
    print(
        "--use-gpu: TensorFlow finds no GPU, and the classifier is trained on CPU cores; it needs CUDA 12's libraries "
        "beside the driver (PyTorch brings CUDA 13's)",
        file=sys.stderr,
    )
    return dataclasses.replace(config, use_gpu=False)


def load_clips(dataset: Location, manifest: Manifest, extra: pd.DataFrame) -> LabeledClips:
    """A dataset's labeled clips and, decoded and analyzed as these were, the extra ones."""
    clips = load_labeled(dataset, manifest)
    if extra.empty:
        return clips
    return add_extra(
        clips,
        extra,
        load_spectrograms(extra["path"].tolist(), manifest.clip, manifest.views["cnn"]),
    )


def _settings(config: TuneConfig, manifest: Manifest, extra: pd.DataFrame) -> dict[str, Any]:
    """What shapes the results; the preset by its values, which another freqquest may have changed, and extra clips by
    their names, labels, sizes and times of change.
    """
    names = ("preset", "num_folds", "only", "audit_leakage", "seed")
    return {name: getattr(config, name) for name in names} | {
        "dataset_sha256": manifest.content_sha256,
        "extra_clips_sha256": _digest(extra),
        "num_trials": config.effective_num_trials,
        "max_epochs": config.effective_max_epochs,
        "num_members": config.effective_num_members,
        **{
            f"preset.{name}": value
            for name, value in dataclasses.asdict(PRESETS[config.preset]).items()
        },
    }


def _digest(extra: pd.DataFrame) -> str | None:
    return None if extra.empty else sha256(extra.drop(columns="path").to_csv(index=False).encode())


def _describe(config: TuneConfig, clips: LabeledClips, manifest: Manifest) -> str:
    """The split that the accuracy belongs to."""
    if config.num_folds is None:
        return manifest.split_description
    if (clips.groups == clips.clip_ids).all():
        return f"cross-validation over {config.num_folds} parts of clips, of which no recordings are known"
    kind = "recordings" if (clips.groups == clips.recordings).all() else "the dataset's own folds"
    return f"cross-validation over {config.num_folds} parts, by {kind}"


def run_search(
    config: TuneConfig, manifest: Manifest, shared: Any, parts: list[SplitRows], run: Location
) -> list[Outcome]:
    """All trials, listed in trials.csv; those that failed are named.

    Args:
        config: Of the search.
        manifest: Of the dataset.
        shared: LabeledClips in Ray's object store.
        parts: What each trial is fitted to and judged by, in turn.
        run: The run folder.
    """
    resources = capacity.trial_resources(
        config.effective_num_trials,
        cpus_each=config.cpus_per_trial,
        use_gpu=config.use_gpu,
        sharing_gpu=config.trials_per_gpu,
    )
    task = TrialTask(
        clips=shared,
        parts=parts,
        clip=manifest.clip,
        max_epochs=config.effective_max_epochs,
        logs=run / layout.TENSORBOARD_DIR / "cnn",
        num_threads=int(resources["CPU"]),
        rungs=rungs(config.effective_max_epochs * len(parts)),
    )
    outcomes = run_trials(config, task, resources, run)
    trials = {outcome.trial_id for outcome in outcomes}
    for logs in task.logs.list_dir():
        if (
            logs.name not in trials
        ):  # an interrupted search left it unfinished; it began again under another name
            logs.remove_dir()
    write_csv(table(outcomes), run / layout.TRIALS_NAME)
    for outcome in outcomes:
        if not outcome.is_valid:
            print(
                f"trial {outcome.trial_id} failed: {outcome.state}; it was {outcome.network}",
                file=sys.stderr,
            )
    return outcomes


def _fit_final_and_audit_models(
    config: TuneConfig,
    clips: LabeledClips,
    shared: Any,
    best: Outcome,
    audit: dict[str, SplitRows],
    run: Location,
) -> tuple[dict[str, np.ndarray | None], list[Location]]:
    """Train what the final model and the audit need, side by side.

    Returns:
        Predictions by the audit's part, and the files of the networks that make the final model: those trained on all
        labeled clips, or, where there are none, those of the best trial.
    """
    # Training that looks at validation clips cannot be repeated on all clips.
    num_members = config.effective_num_members if best.network.schedule == "one_cycle" else 0
    seed = best.params["seed"]
    members = {
        f"member_{number}": (all_clips(clips), seed + number) for number in range(num_members)
    }
    known: dict[str, np.ndarray | None] = {}
    if RECORDING in audit and np.array_equal(best.predictions[0], audit[RECORDING].validation):
        known[RECORDING] = best.predictions[1]  # the trial was the same training
    wanted = members | {name: (part, seed) for name, part in audit.items() if name not in known}
    folder = run / layout.NETWORKS_DIR / best.trial_id
    predictions = fit_all(
        {
            name: FitTask(
                network=best.network, part=part, max_epochs=config.effective_max_epochs, seed=seed
            )
            for name, (part, seed) in wanted.items()
        },
        shared,
        folder,
        cpus_per_fit=config.cpus_per_trial,
        use_gpu=config.use_gpu,
    )
    networks = [folder / f"{name}.keras" for name in members if predictions[name] is not None]
    if len(networks) < len(members):
        print(
            f"{len(members) - len(networks)} networks were left out: their loss was not finite",
            file=sys.stderr,
        )
    if not networks:
        assert best.checkpoint is not None
        networks = [
            best.checkpoint / f"model_{number}.keras" for number in range(config.num_folds or 1)
        ]
    return known | predictions, networks


def _trained_on(config: TuneConfig, best: Outcome, networks: list[Location], num_extra: int) -> str:
    """Which clips the final model's networks learned from, for people."""
    more = f" and {num_extra} extra clips" if num_extra else ""
    if best.checkpoint is None or networks[0].parent != best.checkpoint:
        return f"all labeled clips{more}"
    if config.num_folds:
        return f"all labeled clips but its own part{more}"
    return f"the training clips{more}, not the validation clips"


def _card(manifest: Manifest, metrics: dict[str, Any]) -> ModelCard:
    train_clips = manifest.num_clips["train"]
    return ModelCard(
        classes=manifest.classes,
        clip=manifest.clip,
        view=manifest.views["cnn"],
        most_frequent_class=max(train_clips, key=lambda label: train_clips[label]),
        normalization=manifest.normalization["cnn"],
        dataset_sha256=manifest.content_sha256,
        scores={
            name: metrics[name] for name in ("accuracy", "accuracy_by_fold", "split", "num_clips")
        },
        **{
            name: metrics[name]
            for name in ("network", "num_members", "trained_on", "num_extra_clips", "temperature")
        },
    )
