"""Benchmark of extra training clips, such as generated ones, on held-out recordings."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np
import ray

from freqquest.benchmark.cnn_training import (
    Row,
    Scores,
    TrainedRun,
    score,
    score_rows,
    train_and_test,
    train_in_parallel,
)
from freqquest.benchmark.extra_config import ExtraBenchmark
from freqquest.benchmark.result import BenchmarkResult
from freqquest.cnn.config import PRESETS
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, dataset_split
from freqquest.cnn.scores import standard_error
from freqquest.cnn.tune import load_clips
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.sources import find_extra
from freqquest.storage import locate

Kind = Literal["without", "with"]
"""Training without or with the extra clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraRun:
    """One training without or with the extra clips."""

    kind: Kind
    trained: TrainedRun

    def to_json(self) -> dict[str, object]:
        """Return everything but the predictions."""
        return {"training": self.kind, **self.trained.to_json()}


class Difference(TypedDict):
    """Gain in accuracy by the extra clips, and its uncertainty."""

    accuracy: float
    by_seed: list[float]
    standard_error_over_seeds: float | None
    """Uncertainty of the gain on these test clips. None with one seed."""
    standard_error_over_recordings: float
    """Uncertainty of the gain on other recordings."""


Summary = TypedDict("Summary", {"without": Scores, "with": Scores, "difference": Difference})
"""Scores of both kinds of training, and their difference."""


def benchmark_extra(config: ExtraBenchmark) -> str:
    """Train without and with the extra clips, write the results, and return them as a table.

    Trains the preset `default` on the training split from each seed and tests on the validation
    split. Needs an initialized Ray. Each training has one core, and as many run in parallel as
    there are cores.

    Raises:
        UserError: The dataset or the extra clips are not usable.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    manifest.require_one_label(config.dataset_dir, "this benchmark", "give another dataset")
    extra = find_extra(config.extra_clips, manifest.classes)
    clips = load_clips(dataset, manifest, extra)
    split = dataset_split(clips)
    max_epochs = config.max_epochs or MAX_EPOCHS["default"]
    runs = _train(clips, split, len(extra), config.num_seeds, max_epochs)
    summary = summarize(runs, clips)
    num_recordings = len(np.unique(clips.recordings.codes[split.validation]))
    return BenchmarkResult(
        name="extra",
        settings={"num_seeds": config.num_seeds, "max_epochs": max_epochs},
        about=f"{(~clips.is_training_only[split.train]).sum()} training clips without and with "
        f"{len(extra)} extra ones; tested on {len(split.validation)} clips of {num_recordings} "
        f"recordings ({manifest.split_description})",
        measurements={
            "num_extra_clips": extra["label"].value_counts().to_dict(),
            "summary": summary,
            "runs": [run.to_json() for run in runs],
        },
        header=("what", "without extra clips", "with extra clips"),
        rows=_rows(summary),
    ).write(locate(config.output))


def _train(
    clips: LabeledClips, split: SplitRows, num_extra: int, num_seeds: int, max_epochs: int
) -> list[ExtraRun]:
    # The extra clips are the last rows.
    splits: dict[Kind, SplitRows] = {
        "without": replace(split, train=split.train[:-num_extra]),
        "with": split,
    }
    shared = ray.put(clips)
    choices = list(itertools.product(range(num_seeds), splits))
    arguments = [
        (shared, PRESETS["default"], splits[kind], split.validation, seed, max_epochs)
        for seed, kind in choices
    ]
    return [
        ExtraRun(kind=kind, trained=trained)
        for (_, kind), trained in zip(
            choices, train_in_parallel(train_and_test, arguments), strict=True
        )
    ]


def summarize(runs: Sequence[ExtraRun], clips: LabeledClips) -> Summary:
    """Return the scores of both kinds of training, and their difference.

    Each seed trains once without and once with the extra clips.
    """
    without_extra = [run.trained for run in runs if run.kind == "without"]
    with_extra = [run.trained for run in runs if run.kind == "with"]
    by_seed = [
        more.accuracy - less.accuracy for less, more in zip(without_extra, with_extra, strict=True)
    ]
    rows = without_extra[0].rows
    gains = _share_correct(with_extra, clips) - _share_correct(without_extra, clips)
    over_seeds = statistics.stdev(by_seed) / len(by_seed) ** 0.5 if len(by_seed) > 1 else None
    return {
        "without": score(without_extra, clips.classes),
        "with": score(with_extra, clips.classes),
        "difference": {
            "accuracy": statistics.mean(by_seed),
            "by_seed": by_seed,
            "standard_error_over_seeds": over_seeds,
            "standard_error_over_recordings": standard_error(gains, clips.recordings.codes[rows])
            / len(rows),
        },
    }


def _share_correct(runs: list[TrainedRun], clips: LabeledClips) -> np.ndarray:
    """Return the share of trainings `[N]` that classify each test clip correctly."""
    correct = [run.probabilities.argmax(axis=1) == clips.class_indices[run.rows] for run in runs]
    share: np.ndarray = np.mean(correct, axis=0)
    return share


def _rows(summary: Summary) -> list[Row]:
    accuracy, *others = score_rows([summary["without"], summary["with"]])
    difference = summary["difference"]
    over_seeds = difference["standard_error_over_seeds"]
    return [
        accuracy,
        ("difference in accuracy", "", f"{difference['accuracy']:+.3f}"),
        (
            "its standard error over seeds",
            "",
            "unknown" if over_seeds is None else f"{over_seeds:.3f}",
        ),
        (
            "its standard error over recordings",
            "",
            f"{difference['standard_error_over_recordings']:.3f}",
        ),
        *others,
    ]
