"""Trainings of the classifier in parallel, one core each, and their scores.

Shapes: N clips, K classes.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

import numpy as np
import ray

from freqquest import plots
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.progress import Progress

Row = tuple[str, ...]
"""A row of a table."""


Result = TypeVar("Result")
"""The result of one training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedRun:
    """The result of one training."""

    seed: int
    accuracy: float
    confusions: list[list[int]]
    """Counts `[K, K]`: one row per true class, one column per predicted class."""
    seconds: list[float]
    """Training time at the end of each epoch."""
    accuracies: list[float]
    """Test accuracy after each epoch, if the last epoch counts. Otherwise empty."""
    rows: np.ndarray
    """Test rows `[N]`."""
    probabilities: np.ndarray
    """Predictions `[N, K]` for the test rows."""

    def to_json(self) -> dict[str, object]:
        """Return everything but the predictions."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("rows", "probabilities")
        }


class Scores(TypedDict):
    """Scores of several trainings."""

    accuracy: float
    spread: float
    recall: dict[str, float]
    seconds: float


def train_in_parallel(
    train: Callable[..., Result], argument_lists: Sequence[tuple[object, ...]]
) -> list[Result]:
    """Call a function with each list of arguments, each in its own process with one core."""
    task = ray.remote(num_cpus=1, max_calls=1)(train)
    waiting = [task.remote(*arguments) for arguments in argument_lists]
    runs = []
    with Progress("benchmark", len(waiting), "trainings") as progress:
        for training in waiting:
            runs.append(ray.get(training))
            progress.update(1)
    return runs


def train_and_test(
    clips: LabeledClips,
    cnn_config: CnnConfig,
    split: SplitRows,
    test_rows: np.ndarray,
    seed: int,
    max_epochs: int,
) -> TrainedRun:
    """Train on one core and test. Time spent on testing does not count.

    The training may choose its epoch by `split.validation`. If its last epoch counts, these may be
    the test rows `[N]`.
    """
    from freqquest.cnn.devices import Device, prepare
    from freqquest.cnn.network import predict_probabilities
    from freqquest.cnn.training import Epoch, fit

    prepare(Device())
    seconds: list[float] = []
    accuracies: list[float] = []

    def record(epoch: Epoch) -> None:
        seconds.append(epoch.metrics["train/seconds"])
        # This schedule does not look at its validation clips, which are the test clips.
        if cnn_config.schedule == "one_cycle":
            accuracies.append(epoch.metrics["validation/accuracy"])

    model = fit(cnn_config, clips, split, max_epochs=max_epochs, seed=seed, on_epoch=record)
    probabilities = predict_probabilities(model, clips.inputs(test_rows))
    return tested(clips, test_rows, probabilities, seed, seconds, accuracies)


def tested(
    clips: LabeledClips,
    rows: np.ndarray,
    probabilities: np.ndarray,
    seed: int,
    seconds: list[float],
    accuracies: list[float],
) -> TrainedRun:
    """Return the result of a training whose predictions `[N, K]` of the test rows `[N]` are known.

    The other arguments are fields of the result.
    """
    confusions = plots.count_confusions(
        clips.class_indices[rows], probabilities.argmax(axis=1), len(clips.classes)
    )
    return TrainedRun(
        seed=seed,
        accuracy=float(confusions.trace() / confusions.sum()),
        confusions=confusions.tolist(),
        seconds=seconds,
        accuracies=accuracies,
        rows=rows,
        probabilities=probabilities,
    )


def score(runs: Sequence[TrainedRun], classes: Sequence[str]) -> Scores:
    """Return mean accuracy and its spread, recall per class, and median training seconds."""
    counts = np.sum([run.confusions for run in runs], axis=0)
    recall = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    return {
        "accuracy": statistics.mean(run.accuracy for run in runs),
        "spread": statistics.pstdev(run.accuracy for run in runs),
        "recall": dict(zip(classes, recall.tolist(), strict=True)),
        "seconds": statistics.median(run.seconds[-1] for run in runs),
    }


def score_rows(columns: Sequence[Scores]) -> list[Row]:
    """Return the rows of a table with one column per `Scores`. The first row is the accuracy."""
    return [
        (
            "accuracy, mean and spread",
            *(f"{scores['accuracy']:.3f} ± {scores['spread']:.3f}" for scores in columns),
        ),
        *(
            (f"recall of {name}", *(f"{scores['recall'][name]:.2f}" for scores in columns))
            for name in columns[0]["recall"]
        ),
        (
            "seconds of training, one core, median",
            *(f"{scores['seconds']:.0f}" for scores in columns),
        ),
    ]
