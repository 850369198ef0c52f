"""Benchmark of classifiers that learn from few clips of each class: a learning curve.

Shapes: N clips, K classes.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray

from freqquest import plots
from freqquest.benchmark.cnn import FUSION, HEAD, recipe_split
from freqquest.benchmark.cnn_training import train_and_test, train_in_parallel
from freqquest.benchmark.few_clips_config import FewClipsBenchmark
from freqquest.benchmark.folds import about_embedding, load_folds
from freqquest.benchmark.result import BenchmarkResult, mean_and_range
from freqquest.cnn.config import PRESETS
from freqquest.cnn.heads import fit_on_split
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.presets import Preset
from freqquest.storage import locate

_PRESETS: tuple[Preset, ...] = ("reference", "default")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Training clips of one size, and the fold that is tested."""

    size: int
    number: int
    fold: str
    split: SplitRows


def benchmark_few_clips(config: FewClipsBenchmark) -> str:
    """Train on few clips of each class, write the results, and return them as a table.

    Larger draws contain the smaller ones. Needs an initialized Ray. Each training has one core, and
    as many run in parallel as there are cores.

    Raises:
        UserError: The dataset is not usable, or lacks one of the folds.
    """
    manifest, clips, folds = load_folds(config.dataset_dir, config.folds)
    draws = [
        Draw(
            size=size,
            number=number,
            fold=(fold := folds[number % len(folds)]),
            split=draw_clips(clips, fold, size, seed=number),
        )
        for size in config.sizes
        for number in range(config.num_draws)
    ]
    accuracies = _accuracies(clips, draws, config.max_epochs)
    by_size = {
        name: {
            size: [of_draws[index] for index, draw in enumerate(draws) if draw.size == size]
            for size in config.sizes
        }
        for name, of_draws in accuracies.items()
    }
    means = {
        name: {size: statistics.mean(values) for size, values in sizes.items()}
        for name, sizes in by_size.items()
    }
    output, of_folds = locate(config.output), f"folds {', '.join(folds)}"
    curves = {name: list(sizes.values()) for name, sizes in means.items()}
    title = f"{config.num_draws} draws each, on {of_folds}"
    plot = plots.curves(curves, title, "clips of each class", "accuracy", x=config.sizes)
    (output.parent / f"{Path(output.name).stem}.png").write_bytes(plots.png(plot))
    return BenchmarkResult(
        name="few_clips",
        settings={"folds": folds, "num_draws": config.num_draws, "max_epochs": config.max_epochs},
        about=f"accuracy on {of_folds}, each held out in turn, after training on few clips of each "
        f"class; mean and range of {config.num_draws} draws" + about_embedding(manifest),
        measurements={"means": means, "runs": _runs(clips, draws, accuracies)},
        header=("clips of each class", *accuracies),
        rows=[
            (str(size), *(mean_and_range(sizes[size]) for sizes in by_size.values()))
            for size in config.sizes
        ],
    ).write(output)


def _runs(
    clips: LabeledClips, draws: list[Draw], accuracies: dict[str, list[float]]
) -> list[dict[str, object]]:
    """Return the accuracies of each draw, for JSON."""
    return [
        {
            "size": draw.size,
            "draw": draw.number,
            "fold": draw.fold,
            "num_recordings": len(np.unique(clips.recordings.codes[draw.split.train])),
            "accuracy": {name: values[index] for name, values in accuracies.items()},
        }
        for index, draw in enumerate(draws)
    ]


def draw_clips(clips: LabeledClips, fold: str, size: int, seed: int) -> SplitRows:
    """Draw training clips of each class from the other folds, of as many recordings as possible.

    Args:
        clips: Clips with one label each.
        fold: Fold to test on.
        size: Clips of each class; all of them if there are fewer.
        seed: Seed of the draw; a larger draw contains a smaller one of the same seed.
    """
    random, chosen = np.random.default_rng(seed), []
    originals = ~clips.is_training_only
    for index in range(len(clips.classes)):
        rows = np.flatnonzero(originals & (clips.groups != fold) & clips.labels[:, index])
        rows = random.permutation(rows)
        _, recordings = np.unique(np.asarray(clips.recordings[rows]), return_inverse=True)
        turns = np.zeros(len(rows), int)
        for recording in np.unique(recordings):
            members = np.flatnonzero(recordings == recording)
            turns[members] = np.arange(len(members))
        chosen.append(rows[np.argsort(turns, kind="stable")][:size])
    return SplitRows(
        train=np.concatenate(chosen),
        validation=np.flatnonzero(originals & (clips.groups == fold)),
    )


def _accuracies(
    clips: LabeledClips, draws: list[Draw], max_epochs: int | None
) -> dict[str, list[float]]:
    """Return the accuracy of each kind of classifier after each draw."""
    shared = ray.put(clips)
    arguments = [
        (
            shared,
            PRESETS[preset],
            # The recipe chooses its epoch by a part of its clips.
            recipe_split(clips, draw.split, draw.number) if preset == "reference" else draw.split,
            draw.split.validation,
            draw.number,
            max_epochs or MAX_EPOCHS[preset],
        )
        for preset in _PRESETS
        for draw in draws
    ]
    trained = train_in_parallel(train_and_test, arguments)
    predictions: dict[str, list[np.ndarray]] = {
        preset: [run.probabilities for run in trained[start : start + len(draws)]]
        for preset, start in zip(_PRESETS, (0, len(draws)), strict=True)
    }
    if clips.vectors is not None:
        predictions[HEAD] = [fit_on_split(clips, draw.split).probabilities for draw in draws]
        predictions[FUSION] = [
            clips.score.mean(pair)
            for pair in zip(predictions["default"], predictions[HEAD], strict=True)
        ]
    return {
        name: [
            clips.score.compute(probabilities, clips.labels[draw.split.validation])
            for probabilities, draw in zip(of_draws, draws, strict=True)
        ]
        for name, of_draws in predictions.items()
    }
