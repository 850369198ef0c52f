"""Trainings of the classifier and what they reach: a core each, as many at once as there are cores.

Shapes: N clips, K classes.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray

from freqquest import plots
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.progress import Progress

Run = dict[str, Any]
"""What came of a training, as `train_and_test` gives it, and what else names it."""


def side_by_side(train: Callable[..., Run], asked: Sequence[tuple[Any, ...]]) -> list[Run]:
    """Call a function with each of several lists of arguments, each in a process of its own with one core."""
    task = ray.remote(num_cpus=1, max_calls=1)(train)
    waiting = [task.remote(*arguments) for arguments in asked]
    runs = []
    with Progress("benchmark", len(asked), "trainings") as progress:
        for training in waiting:
            runs.append(ray.get(training))
            progress.update(1)
    return runs


def train_and_test(
    clips: LabeledClips,
    network: CnnConfig,
    part: SplitRows,
    held_out: np.ndarray,
    seed: int,
    max_epochs: int,
) -> Run:
    """One training on one core; the time that testing takes does not count.

    Args:
        clips: Where the rows lie.
        network: Settings of the training.
        part: Rows to learn from, and rows by which the training may choose its epoch.
        held_out: Rows `[N]` to be tested on; `part.validation` may be the same where the last epoch counts.
        seed: Of the training.
        max_epochs: Its length.

    Returns:
        `accuracy`, `confusions` `[K, K]`, by epoch the training's `seconds` and, where the last epoch counts,
        `accuracies`; `rows` `[N]` and `probabilities` `[N, K]`.
    """
    from freqquest.cnn.devices import prepare_tensorflow
    from freqquest.cnn.network import predict_probabilities
    from freqquest.cnn.training import fit

    prepare_tensorflow(1, use_gpu=False)
    seconds: list[float] = []
    accuracies: list[float] = []

    def note(_: np.ndarray, epoch: dict[str, float]) -> None:
        seconds.append(epoch["train/seconds"])
        if (
            network.schedule == "one_cycle"
        ):  # its validation clips are those held out; it does not look at them
            accuracies.append(epoch["validation/accuracy"])

    model = fit(network, clips, part, max_epochs=max_epochs, seed=seed, on_epoch=note)
    probabilities = predict_probabilities(model, clips.spectrograms[held_out])
    confusions = plots.count_confusions(
        clips.class_indices[held_out], probabilities.argmax(axis=1), len(clips.classes)
    )
    return {
        "seed": seed,
        "accuracy": float(confusions.trace() / confusions.sum()),
        "confusions": confusions.tolist(),
        "seconds": seconds,
        "accuracies": accuracies,
        "rows": held_out,
        "probabilities": probabilities,
    }


def scores(runs: Sequence[Run], classes: Sequence[str]) -> dict[str, Any]:
    """What several trainings reached: mean accuracy and its spread, recall by class, median seconds."""
    counts = np.sum([run["confusions"] for run in runs], axis=0)
    recall = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    return {
        "accuracy": statistics.mean(run["accuracy"] for run in runs),
        "spread": statistics.pstdev(run["accuracy"] for run in runs),
        "recall": dict(zip(classes, recall.tolist(), strict=True)),
        "seconds": statistics.median(run["seconds"][-1] for run in runs),
    }


def without_predictions(run: Run) -> Run:
    """What of a training is worth keeping as JSON."""
    return {name: value for name, value in run.items() if name not in ("rows", "probabilities")}


def score_rows(scored: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Rows of a table with a column for each of several `scores`; the first is the accuracy."""
    return [
        (
            "accuracy, mean and spread",
            *(f"{own['accuracy']:.3f} ± {own['spread']:.3f}" for own in scored),
        ),
        *(
            (f"recall of {name}", *(f"{own['recall'][name]:.2f}" for own in scored))
            for name in scored[0]["recall"]
        ),
        ("seconds of training, one core, median", *(f"{own['seconds']:.0f}" for own in scored)),
    ]
