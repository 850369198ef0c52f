"""Benchmark of the classifier's presets, on whole folds of unseen recordings.

Shapes: N clips, K classes.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import ray
from sklearn.model_selection import train_test_split

from freqquest import plots
from freqquest.benchmark.cnn_config import CnnBenchmark
from freqquest.benchmark.cnn_training import (
    Row,
    Scores,
    TrainedRun,
    score,
    score_rows,
    train_and_test,
    train_in_parallel,
)
from freqquest.benchmark.folds import load_folds
from freqquest.benchmark.result import BenchmarkResult
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, hold_out
from freqquest.cnn.network import SMALLEST_PROBABILITY
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.presets import Preset
from freqquest.storage import Location, locate

_PRESETS: tuple[Preset, ...] = ("reference", "default")
_RECIPE_SPLIT = 0.2
"""Share of the training clips by which the recipe chooses its epoch, split without regard to
recordings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldRun:
    """One training and the fold that it was tested on."""

    preset: Preset
    fold: str
    trained: TrainedRun

    def to_json(self) -> dict[str, object]:
        """Return everything but the predictions."""
        return {"preset": self.preset, "fold": self.fold, **self.trained.to_json()}


class PresetScores(Scores):
    """Scores of one preset."""

    by_fold: dict[str, float]
    averaged_over_seeds: float
    """Accuracy of the average of all seeds' networks."""


class TimeToReference(TypedDict):
    """Time after which `default` is and stays as good as `reference` is at its end."""

    shares: list[float | None]
    """Share of the reference's training time, for each fold and seed. None if `default` ends
    worse."""
    median: float | None
    num_reached: int


def benchmark_cnn(config: CnnBenchmark) -> str:
    """Train both presets for each fold and seed, write the results, and return them as a table.

    Each training leaves out one fold and is tested on it. Needs an initialized Ray. Each training
    has one core, and as many run in parallel as there are cores.

    Raises:
        UserError: The dataset is not usable, or lacks one of the folds.
    """
    _, clips, folds = load_folds(config.dataset_dir, config.folds)
    runs = _train(config, clips, folds)
    scores = {preset: _score_preset(preset, runs, clips, folds) for preset in _PRESETS}
    time = _time_to_reference(runs)
    output = locate(config.output)
    _draw(output, runs, clips, folds, config.num_seeds)
    return BenchmarkResult(
        name="cnn",
        settings={"folds": folds, "num_seeds": config.num_seeds, "max_epochs": config.max_epochs},
        about=f"{int((~clips.is_training_only).sum())} clips; trained on all folds but one, tested "
        "on that one",
        measurements={
            "summary": scores | {"time_to_reference": time},
            "runs": [run.to_json() for run in runs],
        },
        rows=_rows([scores[preset] for preset in _PRESETS], time, folds),
        header=("what", *_PRESETS),
    ).write(output)


def _train(config: CnnBenchmark, clips: LabeledClips, folds: tuple[str, ...]) -> list[FoldRun]:
    shared = ray.put(clips)
    choices = list(itertools.product(range(config.num_seeds), _PRESETS, folds))
    arguments = [
        (shared, PRESETS[preset], fold, seed, config.max_epochs or MAX_EPOCHS[preset])
        for seed, preset, fold in choices
    ]
    return [
        FoldRun(preset=preset, fold=fold, trained=trained)
        for (_, preset, fold), trained in zip(
            choices, train_in_parallel(_train_and_test, arguments), strict=True
        )
    ]


def _train_and_test(
    clips: LabeledClips, cnn_config: CnnConfig, fold: str, seed: int, max_epochs: int
) -> TrainedRun:
    test_rows = np.flatnonzero((clips.groups == fold) & ~clips.is_training_only)
    split = hold_out(clips, test_rows)
    if cnn_config.schedule == "plateau":
        split = recipe_split(clips, split, seed)
    return train_and_test(clips, cnn_config, split, test_rows, seed, max_epochs)


def recipe_split(clips: LabeledClips, split: SplitRows, seed: int) -> SplitRows:
    """Split the training rows at random, as the recipe does."""
    train, validation = train_test_split(
        split.train,
        test_size=_RECIPE_SPLIT,
        stratify=clips.class_indices[split.train],
        random_state=seed,
    )
    return SplitRows(train=train, validation=validation)


def _score_preset(
    preset: Preset, runs: list[FoldRun], clips: LabeledClips, folds: tuple[str, ...]
) -> PresetScores:
    by_fold = {
        fold: [run.trained for run in runs if (run.preset, run.fold) == (preset, fold)]
        for fold in folds
    }
    averaged = [_averaged_accuracy(trained, clips) for trained in by_fold.values()]
    return {
        **score([run.trained for run in runs if run.preset == preset], clips.classes),
        "by_fold": {
            fold: statistics.mean(run.accuracy for run in trained)
            for fold, trained in by_fold.items()
        },
        "averaged_over_seeds": statistics.mean(averaged),
    }


def _averaged_accuracy(runs: list[TrainedRun], clips: LabeledClips) -> float:
    """Return the accuracy of the geometric mean of all networks, as a final model has it."""
    logs = np.mean([np.log(run.probabilities + SMALLEST_PROBABILITY) for run in runs], axis=0)
    return float((logs.argmax(axis=1) == clips.class_indices[runs[0].rows]).mean())


def _time_to_reference(runs: list[FoldRun]) -> TimeToReference:
    """Compare times, early stopping of `reference` included."""
    references = {
        (run.fold, run.trained.seed): run.trained for run in runs if run.preset == "reference"
    }
    shares: list[float | None] = []
    for run in runs:
        if run.preset == "default":
            trained, reference = run.trained, references[run.fold, run.trained.seed]
            worse = [
                epoch
                for epoch, accuracy in enumerate(trained.accuracies)
                if accuracy < reference.accuracy
            ]
            epoch = worse[-1] + 1 if worse else 0
            stays = epoch < len(trained.accuracies)
            shares.append(trained.seconds[epoch] / reference.seconds[-1] if stays else None)
    reached = [share for share in shares if share is not None]
    return {
        "shares": shares,
        "median": statistics.median(reached) if reached else None,
        "num_reached": len(reached),
    }


def _draw(
    output: Location,
    runs: list[FoldRun],
    clips: LabeledClips,
    folds: tuple[str, ...],
    num_seeds: int,
) -> None:
    """Write plots beside the results."""
    stem = Path(output.name).stem
    for preset in _PRESETS:
        counts = np.sum([run.trained.confusions for run in runs if run.preset == preset], axis=0)
        title = f"{preset}: folds {', '.join(folds)}, {num_seeds} seeds"
        plot = plots.confusion_matrix(counts, clips.classes, title)
        (output.parent / f"{stem}_confusion_{preset}.png").write_bytes(plots.png(plot))
    curves = {
        f"fold {run.fold}, seed {run.trained.seed}": run.trained.accuracies
        for run in runs
        if run.trained.accuracies
    }
    plot = plots.curves(curves, "default, on the held-out fold", "epoch", "accuracy")
    (output.parent / f"{stem}_curves.png").write_bytes(plots.png(plot))


def _rows(
    columns: Sequence[PresetScores], time: TimeToReference, folds: tuple[str, ...]
) -> list[Row]:
    accuracy, *others = score_rows(columns)
    return [
        accuracy,
        *(
            (f"accuracy on fold {fold}", *(f"{scores['by_fold'][fold]:.3f}" for scores in columns))
            for fold in folds
        ),
        (
            "accuracy of the average of all seeds' networks",
            *(f"{scores['averaged_over_seeds']:.3f}" for scores in columns),
        ),
        *others,
        (
            "share of the reference's time until it stays as good as the reference's end",
            "",
            f"{time['median'] or float('nan'):.2f} "
            f"(median; {time['num_reached']} of {len(time['shares'])} runs get there)",
        ),
    ]
