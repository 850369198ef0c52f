"""What extra training clips, such as generated ones, do for the classifier on recordings held out."""

import itertools
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import ray

from freqquest.benchmark.config import ExtraBenchmark
from freqquest.benchmark.report import Report
from freqquest.benchmark.training import (
    Run,
    score_rows,
    scores,
    side_by_side,
    train_and_test,
    without_predictions,
)
from freqquest.cnn.config import MAX_EPOCHS, PRESETS
from freqquest.cnn.labeled_clips import LabeledClips, dataset_split
from freqquest.cnn.search.selection import standard_error
from freqquest.cnn.tune import load_clips
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.sources import find_extra
from freqquest.storage import locate

_WITHOUT, _WITH = "without", "with"


def benchmark_extra(config: ExtraBenchmark) -> str:
    """Train the preset `default` on the training split without and with the clips, from each seed, and test on the
    validation split; write and return the figures.

    Needs an initialized Ray: each training has one core, and as many run at once as there are cores.

    Raises:
        UserError: The dataset or the extra clips are not usable.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    extra = find_extra(config.extra_clips, manifest.classes)
    clips = load_clips(dataset, manifest, extra)
    whole = dataset_split(clips)
    # The extra clips are the last rows.
    parts = {_WITHOUT: replace(whole, train=whole.train[: -len(extra)]), _WITH: whole}
    shared = ray.put(clips)
    max_epochs = config.max_epochs or MAX_EPOCHS["default"]
    asked = list(itertools.product(range(config.num_seeds), parts))
    runs = side_by_side(
        train_and_test,
        [
            (shared, PRESETS["default"], parts[training], whole.validation, seed, max_epochs)
            for seed, training in asked
        ],
    )
    runs = [{"training": training} | run for (_, training), run in zip(asked, runs, strict=True)]
    summary = summarize(runs, clips)
    num_recordings = len(set(clips.recordings[whole.validation]))
    return Report(
        command="extra",
        settings={"num_seeds": config.num_seeds, "max_epochs": max_epochs},
        about=f"{(~clips.only_trains[whole.train]).sum()} training clips without and with {len(extra)} extra ones; "
        f"tested on {len(whole.validation)} clips of {num_recordings} recordings ({manifest.split_description})",
        figures={
            "num_extra_clips": extra["label"].value_counts().to_dict(),
            "summary": summary,
            "runs": [without_predictions(run) for run in runs],
        },
        header=("what", f"{_WITHOUT} extra clips", f"{_WITH} extra clips"),
        rows=_rows(summary),
    ).write(locate(config.output))


def summarize(runs: list[Run], clips: LabeledClips) -> dict[str, Any]:
    """Scores of both kinds of training, and their difference with what chance makes of it.

    Each seed trains once without and once with the extra clips. The standard error over seeds tells how sure the
    difference is on these clips; that over recordings, whether it would hold on others.

    Args:
        runs: With `training`, `without` or `with`.
        clips: Where their rows lie.
    """
    kinds = {kind: [run for run in runs if run["training"] == kind] for kind in (_WITHOUT, _WITH)}
    by_seed = [
        more["accuracy"] - less["accuracy"] for less, more in zip(*kinds.values(), strict=True)
    ]
    rows = runs[0]["rows"]
    right = {
        kind: np.mean(
            [run["probabilities"].argmax(axis=1) == clips.class_indices[rows] for run in own],
            axis=0,
        )
        for kind, own in kinds.items()
    }
    over_recordings = standard_error(right[_WITH] - right[_WITHOUT], clips.recordings[rows]) / len(
        rows
    )
    return {kind: scores(own, clips.classes) for kind, own in kinds.items()} | {
        "difference": {
            "accuracy": statistics.mean(by_seed),
            "by_seed": by_seed,
            "standard_error_over_seeds": (
                statistics.stdev(by_seed) / len(by_seed) ** 0.5 if len(by_seed) > 1 else None
            ),
            "standard_error_over_recordings": over_recordings,
        }
    }


def _rows(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    accuracy, *others = score_rows([summary[_WITHOUT], summary[_WITH]])
    difference = summary["difference"]
    over_seeds = difference["standard_error_over_seeds"]
    return [
        accuracy,
        ("difference of accuracy", "", f"{difference['accuracy']:+.3f}"),
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
