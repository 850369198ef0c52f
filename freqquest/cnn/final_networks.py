"""The CNN's networks of the final model and of the leakage audit.

The driver plans and waits; Ray tasks train (`freqquest.cnn.final_model_worker`). It never loads
Keras.
"""

import sys
from dataclasses import replace

import numpy as np
import ray

from freqquest.cluster import capacity
from freqquest.cluster.tasks import cancel_on_error
from freqquest.cnn.devices import Device
from freqquest.cnn.final_model_worker import FitTask, fit_network
from freqquest.cnn.frameworks import Backend
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, all_clips
from freqquest.cnn.leakage_audit import RECORDING
from freqquest.cnn.search.outcome import Outcome
from freqquest.cnn.start_weights import Start
from freqquest.cnn.tune_config import TuneConfig
from freqquest.progress import Progress
from freqquest.runs import layout
from freqquest.storage import Location

Predictions = dict[str, np.ndarray | None]
"""Probabilities `[N, K]` of validation clips, by name of the network; None if it diverged."""


def fit_networks(
    config: TuneConfig,
    clips: LabeledClips,
    shared_clips: ray.ObjectRef,
    best: Outcome,
    audit: dict[str, SplitRows],
    run: Location,
    gpu_backend: Backend | None = None,
    start: Start | None = None,
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
        start: Earlier model that the networks start from.

    Returns:
        Predictions of the networks, and the files of those that make the final model: those trained
        on all labeled clips or, if there are none, those of the best trial.
    """
    members = _member_tasks(config, clips, best, start)
    known = _known_predictions(best, audit)
    audited = {
        name: _fit_task(config, best, split, best.seed)
        for name, split in audit.items()
        if name not in known
    }
    folder = run / layout.NETWORKS_DIR / best.trial_id
    predictions = fit_all(
        members | audited, shared_clips, folder, config, gpu_backend, clips.held_bytes
    )
    networks = [folder / f"{name}.keras" for name in members if predictions[name] is not None]
    if len(networks) < len(members):
        num_diverged = len(members) - len(networks)
        print(
            f"{num_diverged} of {len(members)} networks diverged; the final model leaves them out",
            file=sys.stderr,
        )
    return known | predictions, networks or _trial_networks(config, best)


def _member_tasks(
    config: TuneConfig, clips: LabeledClips, best: Outcome, start: Start | None
) -> dict[str, FitTask]:
    """Return the trainings on all labeled clips, by name of the network."""
    # A training that uses validation clips cannot be repeated on all clips.
    num_members = config.effective_num_members if best.cnn_config.schedule == "one_cycle" else 0
    starts = start.of_members if start else [None]
    return {
        f"member_{number}": replace(
            _fit_task(config, best, all_clips(clips), best.seed + number),
            start=starts[number % len(starts)],
        )
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
    held_bytes: int = 0,
) -> Predictions:
    """Train networks and save each as `<folder>/<name>.keras`, except for those already there.

    Args:
        tasks: Networks to train, by name.
        shared_clips: LabeledClips in Ray's object store.
        folder: Folder of the networks.
        config: Settings of the stage, for the cores and the share of a GPU that each gets.
        gpu_backend: Keras' backend on GPUs; None for CPU cores.
        held_bytes: Bytes of clips that each training holds for itself.
    """
    if not tasks:
        return {}
    resources = capacity.trial_resources(
        len(tasks),
        cpus_each=config.cpus_per_trial,
        use_gpu=config.use_gpu,
        sharing_gpu=config.trials_per_gpu,
        held_bytes=held_bytes,
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
        remote_fit.remote(shared_clips, task, device, folder / f"{name}.keras"): name
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
