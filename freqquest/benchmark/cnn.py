"""Benchmark of the classifier's presets, on whole folds of unseen recordings.

Shapes: N clips, K classes.
"""

import itertools
import statistics
import time
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
    tested,
    train_and_test,
    train_in_parallel,
)
from freqquest.benchmark.folds import about_embedding, load_folds
from freqquest.benchmark.result import BenchmarkResult
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.heads import fit_on_split
from freqquest.cnn.labeled_clips import MAX_BYTES, LabeledClips, SplitRows, hold_out
from freqquest.cnn.network import SMALLEST_PROBABILITY
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.storage import Location, locate

HEAD, FUSION = "embedding", "default with embedding"
"""Names of a head on the vectors of a pretrained network, and of its mean with the CNN."""

_RECIPE_SPLIT = 0.2
"""Share of the training clips by which the recipe chooses its epoch, split without regard to
recordings."""


@dataclass(frozen=True, slots=True)
class FoldRun:
    """One training and the fold that it was tested on."""

    kind: str
    """Preset, `HEAD` or `FUSION`."""
    fold: str
    trained: TrainedRun

    def to_json(self) -> dict[str, object]:
        """Return everything but the predictions."""
        return {"kind": self.kind, "fold": self.fold, **self.trained.to_json()}


class KindScores(Scores):
    """Scores of one kind of classifier."""

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
    """Train presets for each fold and seed, write the results, and return them as a table.

    Each training leaves out one fold and is tested on it. Needs an initialized Ray. Each training
    has one core, and as many run in parallel as there are cores. If the dataset has an embedding, a
    head is fitted for each fold, and fused with each training of `default`.

    Raises:
        UserError: The dataset is not usable, or lacks one of the folds.
    """
    max_bytes = int(1e6 * config.memory_mb) if config.memory_mb else MAX_BYTES
    manifest, clips, folds = load_folds(config.dataset_dir, config.folds, max_bytes)
    runs = _train(config, clips, folds)
    if clips.vectors is not None:
        runs += _with_embedding(runs, clips, folds)
    scores = {
        kind: _score_kind(kind, runs, clips, folds)
        for kind in dict.fromkeys(run.kind for run in runs)
    }
    to_reference = _time_to_reference(runs) if {"reference", "default"} <= set(scores) else None
    output = locate(config.output)
    _draw(output, runs, clips, folds, config.num_seeds)
    return BenchmarkResult(
        name="cnn",
        settings={
            "folds": folds,
            "num_seeds": config.num_seeds,
            "max_epochs": config.max_epochs,
            "memory_mb": config.memory_mb,
        },
        about=f"{int((~clips.is_training_only).sum())} clips; trained on all folds but one, tested "
        "on that one" + about_embedding(manifest) + _about_memory(config.memory_mb),
        measurements={
            "summary": scores | {"time_to_reference": to_reference},
            "runs": [run.to_json() for run in runs],
        },
        rows=_rows(scores, to_reference, folds),
        header=("what", *scores),
    ).write(output)


def _about_memory(memory_mb: float | None) -> str:
    return "" if memory_mb is None else f"; at most {memory_mb:g} MB of spectrograms in memory"


def _train(config: CnnBenchmark, clips: LabeledClips, folds: tuple[str, ...]) -> list[FoldRun]:
    shared = ray.put(clips)
    choices = list(itertools.product(range(config.num_seeds), config.presets, folds))
    arguments = [
        (shared, PRESETS[preset], fold, seed, config.max_epochs or MAX_EPOCHS[preset])
        for seed, preset, fold in choices
    ]
    return [
        FoldRun(kind=preset, fold=fold, trained=trained)
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


def _with_embedding(
    runs: list[FoldRun], clips: LabeledClips, folds: tuple[str, ...]
) -> list[FoldRun]:
    """Fit and test a head for each fold, and its mean with each training of `default`."""
    heads, fused = [], []
    for fold in folds:
        rows = np.flatnonzero((clips.groups == fold) & ~clips.is_training_only)
        start = time.perf_counter()
        of_head = fit_on_split(clips, hold_out(clips, rows)).probabilities
        seconds = [time.perf_counter() - start]
        heads.append(FoldRun(HEAD, fold, tested(clips, rows, of_head, 0, seconds, [])))
        for run in runs:
            if (run.kind, run.fold) == ("default", fold):
                both = clips.score.mean([run.trained.probabilities, of_head])
                total = [run.trained.seconds[-1] + seconds[0]]
                result = tested(clips, rows, both, run.trained.seed, total, [])
                fused.append(FoldRun(FUSION, fold, result))
    return heads + fused


def _score_kind(
    kind: str, runs: list[FoldRun], clips: LabeledClips, folds: tuple[str, ...]
) -> KindScores:
    by_fold = {
        fold: [run.trained for run in runs if (run.kind, run.fold) == (kind, fold)]
        for fold in folds
    }
    averaged = [_averaged_accuracy(trained, clips) for trained in by_fold.values()]
    return {
        **score([run.trained for run in runs if run.kind == kind], clips.classes),
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
        (run.fold, run.trained.seed): run.trained for run in runs if run.kind == "reference"
    }
    shares: list[float | None] = []
    for run in runs:
        if run.kind == "default":
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
    for kind in dict.fromkeys(run.kind for run in runs):
        counts = np.sum([run.trained.confusions for run in runs if run.kind == kind], axis=0)
        title = f"{kind}: folds {', '.join(folds)}, {num_seeds} seeds"
        plot = plots.confusion_matrix(counts, clips.classes, title)
        name = f"{stem}_confusion_{kind.replace(' ', '_')}.png"
        (output.parent / name).write_bytes(plots.png(plot))
    curves = {
        f"fold {run.fold}, seed {run.trained.seed}": run.trained.accuracies
        for run in runs
        if run.trained.accuracies
    }
    if curves:
        plot = plots.curves(curves, "default, on the held-out fold", "epoch", "accuracy")
        (output.parent / f"{stem}_curves.png").write_bytes(plots.png(plot))


def _rows(
    scores_by_kind: dict[str, KindScores],
    to_reference: TimeToReference | None,
    folds: tuple[str, ...],
) -> list[Row]:
    columns = list(scores_by_kind.values())
    accuracy, *others = score_rows(columns)
    rows = [
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
    ]
    if to_reference is None:
        return rows
    reached = (
        f"{to_reference['median'] or float('nan'):.2f} "
        f"(median; {to_reference['num_reached']} of {len(to_reference['shares'])} runs get there)"
    )
    what = "`default`'s share of the reference's time until it stays as good as that ends"
    return [*rows, (what, *(reached if kind == "default" else "" for kind in scores_by_kind))]
