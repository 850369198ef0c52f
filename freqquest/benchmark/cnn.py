"""The presets of the classifier side by side, on whole folds of recordings that neither was trained on."""

import itertools
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import ray
from sklearn.model_selection import train_test_split

from freqquest import plots
from freqquest.benchmark.config import CnnBenchmark
from freqquest.benchmark.report import Report
from freqquest.benchmark.training import (
    Run,
    score_rows,
    scores,
    side_by_side,
    train_and_test,
    without_predictions,
)
from freqquest.cnn.config import MAX_EPOCHS, PRESETS, CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, hold_out, load_labeled
from freqquest.cnn.network import SMALLEST_PROBABILITY
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.presets import Preset
from freqquest.storage import locate

_PRESETS: tuple[Preset, ...] = ("reference", "default")
_RECIPE_SPLIT = 0.2
"""Share of the training clips, drawn without regard to recordings, that the recipe chooses its epoch by."""


def benchmark_cnn(config: CnnBenchmark) -> str:
    """Train both presets on all folds but one, test on that one, for each fold and seed; write and return the figures.

    Needs an initialized Ray: each training has one core, and as many run at once as there are cores.

    Raises:
        UserError: The dataset is not usable, or has not the folds asked for.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    clips = load_labeled(dataset, manifest)
    has_folds = (clips.groups != clips.recordings).any()
    folds = config.folds or (tuple(sorted(set(clips.groups))) if has_folds else ())
    unknown = set(folds) - set(clips.groups)
    if unknown or not folds:
        raise UserError(
            f"{dataset} has not the fold(s) {', '.join(sorted(unknown)) or 'to test on'}: see --folds"
        )
    shared = ray.put(clips)
    runs = side_by_side(
        _train_and_test,
        [
            (shared, preset, PRESETS[preset], fold, seed, config.max_epochs or MAX_EPOCHS[preset])
            for seed, preset, fold in itertools.product(range(config.num_seeds), _PRESETS, folds)
        ],
    )
    summary = _summarize(runs, clips, folds)
    report = Report(
        command="cnn",
        settings={"folds": folds, "num_seeds": config.num_seeds, "max_epochs": config.max_epochs},
        about=f"{int((~clips.only_trains).sum())} clips; trained on all folds but one, tested on that one",
        figures={"summary": summary, "runs": [without_predictions(run) for run in runs]},
        rows=_rows(summary, folds),
        header=("what", *_PRESETS),
    )
    place = locate(config.output)
    for preset in _PRESETS:
        counts = np.sum([run["confusions"] for run in runs if run["preset"] == preset], axis=0)
        picture = plots.confusion_matrix(
            counts, clips.classes, f"{preset}: folds {', '.join(folds)}, {config.num_seeds} seeds"
        )
        (place.parent / f"{Path(place.name).stem}_confusion_{preset}.png").write_bytes(
            plots.png(picture)
        )
    curves = {
        f"fold {run['fold']}, seed {run['seed']}": run["accuracies"]
        for run in runs
        if run["accuracies"]
    }
    picture = plots.curves(curves, "default, on the fold held out", "epoch", "accuracy")
    (place.parent / f"{Path(place.name).stem}_curves.png").write_bytes(plots.png(picture))
    return report.write(place)


def _train_and_test(
    clips: LabeledClips, preset: Preset, network: CnnConfig, fold: str, seed: int, max_epochs: int
) -> Run:
    held_out = np.flatnonzero((clips.groups == fold) & ~clips.only_trains)
    part = hold_out(clips, held_out)
    if network.schedule == "plateau":
        part = _recipe_part(clips, part, seed)
    measured = train_and_test(clips, network, part, held_out, seed, max_epochs)
    return {"preset": preset, "fold": fold} | measured


def _recipe_part(clips: LabeledClips, part: SplitRows, seed: int) -> SplitRows:
    """The recipe's own random split, of the clips that it may learn from."""
    train, validation = train_test_split(
        part.train,
        test_size=_RECIPE_SPLIT,
        stratify=clips.class_indices[part.train],
        random_state=seed,
    )
    return SplitRows(train=train, validation=validation)


def _summarize(
    runs: list[dict[str, Any]], clips: LabeledClips, folds: tuple[str, ...]
) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for preset in _PRESETS:
        own = [run for run in runs if run["preset"] == preset]
        averaged = [
            _averaged_accuracy([run for run in own if run["fold"] == fold], clips) for fold in folds
        ]
        summary[preset] = scores(own, clips.classes) | {
            "by_fold": {
                fold: statistics.mean(run["accuracy"] for run in own if run["fold"] == fold)
                for fold in folds
            },
            "averaged_over_seeds": statistics.mean(averaged),
        }
    shares = _time_shares(runs)
    reached = [share for share in shares if share is not None]
    summary["time_to_reference"] = {
        "shares": shares,
        "median": statistics.median(reached) if reached else None,
        "num_reached": len(reached),
    }
    return summary


def _averaged_accuracy(runs: list[dict[str, Any]], clips: LabeledClips) -> float:
    """Of the geometric mean of the networks of all seeds, as in a final model."""
    logs = np.mean([np.log(run["probabilities"] + SMALLEST_PROBABILITY) for run in runs], axis=0)
    return float((logs.argmax(axis=1) == clips.class_indices[runs[0]["rows"]]).mean())


def _time_shares(runs: list[dict[str, Any]]) -> list[float | None]:
    """For each fold and seed: from when on `default` stays as good as `reference` ends, as a share of the latter's
    training, its early stopping included; None where it ends worse.
    """
    ends = {(run["fold"], run["seed"]): run for run in runs if run["preset"] == "reference"}
    shares = []
    for run in runs:
        if run["preset"] == "default":
            end = ends[run["fold"], run["seed"]]
            worse = [
                epoch
                for epoch, accuracy in enumerate(run["accuracies"])
                if accuracy < end["accuracy"]
            ]
            epoch = worse[-1] + 1 if worse else 0
            stays = epoch < len(run["accuracies"])
            shares.append(run["seconds"][epoch] / end["seconds"][-1] if stays else None)
    return shares


def _rows(summary: dict[str, Any], folds: tuple[str, ...]) -> list[tuple[str, ...]]:
    both = [summary[preset] for preset in _PRESETS]
    accuracy, *others = score_rows(both)
    time = summary["time_to_reference"]
    return [
        accuracy,
        *((f"on fold {fold}", *(f"{own['by_fold'][fold]:.3f}" for own in both)) for fold in folds),
        (
            "of the average of all seeds' networks",
            *(f"{own['averaged_over_seeds']:.3f}" for own in both),
        ),
        *others,
        (
            "share of the reference's time, until it stays as good as that ends",
            "",
            f"{time['median'] or float('nan'):.2f} (median; {time['num_reached']} of {len(time['shares'])} do)",
        ),
    ]
