"""Benchmark of events in recordings: how good they are, and what keeps noise from being heard.

Each recording is made of clips of a held-out fold with noise between them.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import ray

from freqquest.benchmark.cnn_training import Row, train_in_parallel
from freqquest.benchmark.events_config import EventsBenchmark
from freqquest.benchmark.events_scores import COLUMNS, Variant, score
from freqquest.benchmark.events_training import UNSEEN_COLOR, Listening, train_and_listen
from freqquest.benchmark.folds import load_folds
from freqquest.benchmark.result import BenchmarkResult
from freqquest.cnn.config import PRESETS
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.detection.grid import Grid
from freqquest.storage import locate

_HOP_S = 1.0
"""Step between the windows, the job's default."""


class Spread(TypedDict):
    """A score over several trainings."""

    mean: float
    spread: float
    """Standard deviation."""


_DEFAULT = "threshold 0.5"
_KINDS = {
    _DEFAULT: Variant(has_thresholds=False),
    "chosen thresholds": Variant(),
    f"background class, {_DEFAULT}": Variant(has_thresholds=False, has_background=True),
    "background class, chosen thresholds": Variant(has_background=True),
}
"""Variants with the job's settings, by name; the first is the job's default."""

_CONTRASTS_DB = (0.0, 3.0, 6.0, 8.0, 10.0, 15.0)
_SEARCH_SHARES = (0.0, 1 / 4, 3 / 8, 1 / 2)
_MERGE_GAPS_S = (0.0, 0.5, 1.0, 2.0)

_VARIANTS: Mapping[str, Variant] = {
    **{f"{name}, no gate": variant.without_gate() for name, variant in _KINDS.items()},
    **{f"{name}, gate": variant for name, variant in _KINDS.items()},
    **{
        f"{_DEFAULT}, min_contrast {contrast_db:g} dB": replace(
            _KINDS[_DEFAULT], min_contrast_db=contrast_db
        )
        for contrast_db in _CONTRASTS_DB
    },
    **{
        f"{_DEFAULT}, gate, edges moved by up to {share:g} of a window": replace(
            _KINDS[_DEFAULT], search_share=share
        )
        for share in _SEARCH_SHARES
    },
    **{
        f"{_DEFAULT}, gate, merge_gap {gap_s:g} s": replace(_KINDS[_DEFAULT], merge_gap_s=gap_s)
        for gap_s in _MERGE_GAPS_S
    },
}
"""The rows of the table."""


def benchmark_events(config: EventsBenchmark) -> str:
    """Train, listen to recordings and score the events; write the results, and return a table.

    Needs an initialized Ray. Each training has one core, and as many run in parallel as there are
    cores.

    Raises:
        UserError: The dataset is not usable, or lacks one of the folds.
        UnreadableClipError: An audio file of the dataset is not readable any more.
    """
    manifest, clips, folds = load_folds(config.dataset_dir, config.folds)
    grid = Grid(clip=manifest.clip, view=manifest.views["cnn"], hop_s=_HOP_S)
    max_epochs = config.max_epochs or MAX_EPOCHS["default"]
    shared = ray.put(clips)
    choices = itertools.product(range(config.num_seeds), folds, (False, True))
    listenings = train_in_parallel(
        train_and_listen,
        [
            (shared, PRESETS["default"], grid, fold, seed, max_epochs, has_background)
            for seed, fold, has_background in choices
        ],
    )
    return report(config, listenings, grid).write(locate(config.output))


def report(config: EventsBenchmark, listenings: Sequence[Listening], grid: Grid) -> BenchmarkResult:
    """Return the scores of all variants, and how they were measured."""
    runs = [_score_all(listening, grid) for listening in listenings]
    summary = {name: _summarize([run[name] for run in runs if name in run]) for name in _VARIANTS}
    folds = sorted({listening.fold for listening in listenings})
    return BenchmarkResult(
        name="events",
        settings={
            "folds": folds,
            "num_seeds": config.num_seeds,
            "max_epochs": config.max_epochs or MAX_EPOCHS["default"],
        },
        about=_describe(listenings),
        measurements={
            "summary": summary,
            "runs": [
                _to_json(listening, scores)
                for listening, scores in zip(listenings, runs, strict=True)
            ],
        },
        header=("what", *COLUMNS.values()),
        rows=[_row(name, scores) for name, scores in summary.items()],
    )


def _score_all(listening: Listening, grid: Grid) -> dict[str, dict[str, float]]:
    """Return the scores of each variant that the model is for, by the variant's name."""
    return {
        name: score(listening, grid, variant)
        for name, variant in _VARIANTS.items()
        if variant.has_background == listening.has_background
    }


def _summarize(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Return mean and spread of each score over all trainings."""
    return {
        name: {
            "mean": statistics.mean(run[name] for run in runs),
            "spread": statistics.pstdev(run[name] for run in runs),
        }
        for name in runs[0]
    }


def _to_json(listening: Listening, scores: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """Return all that is known about a training and its recordings, but not what was heard."""
    return {
        "fold": listening.fold,
        "seed": listening.seed,
        "has_background": listening.has_background,
        "accuracy": listening.accuracy,
        "temperature": listening.temperature,
        "thresholds": dict(zip(listening.classes, listening.thresholds, strict=True)),
        "recordings": [
            {
                "duration_s": each.duration_s,
                "num_clips": len(each.references),
                "color": each.color,
                "level_db": each.level_db,
            }
            for each in listening.recordings
        ],
        "scores": scores,
    }


def _describe(listenings: Sequence[Listening]) -> str:
    minutes = sum(each.duration_s for one in listenings for each in one.recordings) / 60
    num_models = len(listenings)
    return (
        f"{num_models} networks of the preset default, each trained on all folds but one and "
        f"listening to recordings made of that one, {minutes / num_models:.0f} minutes on "
        f"average, windows every {_HOP_S:g} s; mean and spread over folds and seeds; noise for "
        f"training, for thresholds and in recordings has different seeds, and no background class "
        f"was trained on {UNSEEN_COLOR} noise"
    )


def _row(name: str, scores: Mapping[str, Spread]) -> Row:
    shown = [(scores[key], 0 if "per_hour" in key else 3) for key in COLUMNS]
    return (
        name,
        *(f"{each['mean']:.{digits}f} ± {each['spread']:.{digits}f}" for each, digits in shown),
    )
