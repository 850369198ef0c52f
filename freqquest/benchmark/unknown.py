"""Benchmark of unknown sounds: classes are left out of training, and must be told from the others.

Shapes: N clips.
"""

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import ray
from sklearn.metrics import roc_auc_score

from freqquest.benchmark.cnn_training import Row, train_in_parallel
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.unknown_config import UnknownBenchmark
from freqquest.benchmark.unknown_measures import MEASURES, Outputs, Training
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows, dataset_split, load_labeled
from freqquest.cnn.network import input_batches, model_inputs
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate

if TYPE_CHECKING:
    import keras

_COVERAGES = (0.5, 0.8)
"""Shares of the known clips that get an answer, the most confident ones."""


class MeasureScores(TypedDict):
    """How well a measure of confidence does."""

    auroc: float
    """Probability that a known clip has a higher confidence than an unknown one."""
    accuracy_at_coverage: dict[str, float]
    """Accuracy on the most confident known clips, by their share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOutRun:
    """One training without a class."""

    left_out: str
    num_known: int
    """Held-out clips of the other classes."""
    num_unknown: int
    """Clips of the class."""
    accuracy: float
    """Accuracy on all held-out clips of the other classes."""
    measures: dict[str, MeasureScores]


class Summary(TypedDict):
    """Means over all trainings of one measure."""

    auroc: float
    lead: float
    """Lead in AUROC over the maximum probability."""
    standard_error_of_lead: float | None
    """Over the left-out classes; None with one."""
    accuracy_at_coverage: dict[str, float]


def benchmark_unknown(config: UnknownBenchmark) -> str:
    """Train without each class, write the results, and return them as a table.

    The preset `default` is trained on the training split of the other classes. Known clips are
    those of its validation split, unknown ones are all of the class that was left out. Needs an
    initialized Ray; each training has one core.

    Raises:
        UserError: The dataset is not usable.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    manifest.require_one_label(config.dataset_dir, "this benchmark", "give another dataset")
    if len(manifest.classes) < 3:
        raise UserError(
            f"`dataset_dir={config.dataset_dir}` has {len(manifest.classes)} classes, but must "
            "have 3 or more: a classifier needs two beside the one that is left out"
        )
    clips = load_labeled(dataset, manifest)
    max_epochs = config.max_epochs or MAX_EPOCHS["default"]
    shared = ray.put(clips)
    arguments = [
        (shared, PRESETS["default"], int(index), config.seed, max_epochs)
        for index in _choose_classes(config, len(manifest.classes))
    ]
    runs = train_in_parallel(train_without, arguments)
    summaries = summarize(runs)
    return BenchmarkResult(
        name="unknown",
        settings={"seed": config.seed, "max_epochs": max_epochs},
        about=f"{len(runs)} trainings, each without one class; AUROC between held-out clips of the "
        f"other classes and all clips of this one ({manifest.split_description})",
        measurements={"summary": summaries, "runs": [dataclasses.asdict(run) for run in runs]},
        header=("measure", *(f"AUROC, {run.left_out} unknown" for run in runs), *_MEANS),
        rows=_rows(runs, summaries),
    ).write(locate(config.output))


def _choose_classes(config: UnknownBenchmark, num_classes: int) -> np.ndarray:
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.permutation(num_classes)[: config.num_classes])


def train_without(
    clips: LabeledClips, cnn_config: CnnConfig, left_out: int, seed: int, max_epochs: int
) -> LeftOutRun:
    """Train on one core without a class, and compare all measures."""
    prepare(Device())
    from freqquest.cnn.training import fit

    is_unknown = clips.labels[:, left_out]
    known = without_class(clips, left_out)
    split = dataset_split(clips)
    train = split.train[~is_unknown[split.train]]
    model = fit(
        cnn_config,
        known,
        SplitRows(train=train, validation=np.arange(0)),
        max_epochs=max_epochs,
        seed=seed,
    )
    learned = train[~clips.is_training_only[train]]
    held_out = split.validation[~is_unknown[split.validation]]
    unknown = np.flatnonzero(is_unknown & ~clips.is_training_only)
    of_learned, of_held_out, of_unknown = (
        _outputs(model, clips.spectrograms[rows]) for rows in (learned, held_out, unknown)
    )
    training = Training(of_learned, known.class_indices[learned])
    is_right = of_held_out.logits.argmax(axis=1) == known.class_indices[held_out]
    return LeftOutRun(
        left_out=clips.classes[left_out],
        num_known=len(held_out),
        num_unknown=len(unknown),
        accuracy=float(is_right.mean()),
        measures={
            name: score_measure(
                measure(training, of_held_out), measure(training, of_unknown), is_right
            )
            for name, measure in MEASURES.items()
        },
    )


def without_class(clips: LabeledClips, left_out: int) -> LabeledClips:
    """Return the same rows without a class; those that have it must not be used."""
    labels = np.delete(clips.labels, left_out, axis=1)
    classes = tuple(label for index, label in enumerate(clips.classes) if index != left_out)
    indices = labels.argmax(axis=1)
    return dataclasses.replace(clips, labels=labels, class_indices=indices, classes=classes)


def _outputs(model: "keras.Model", spectrograms: np.ndarray) -> Outputs:
    from freqquest.cnn.frameworks import keras

    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    features = [each.input for each in dense if each.activation is not keras.activations.relu]
    inner = keras.Model(model.input, [model.layers[-1].input, *features])
    batches = [
        inner.predict_on_batch(model_inputs(inner, batch))
        for batch in input_batches(Inputs(spectrograms))
    ]
    logits, *vectors = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Outputs(logits, np.concatenate(vectors, axis=1))


def score_measure(known: np.ndarray, unknown: np.ndarray, is_right: np.ndarray) -> MeasureScores:
    """Score the confidences of known and unknown clips, `[N]` each.

    Args:
        known: Confidences of the known clips.
        unknown: Confidences of the unknown clips.
        is_right: Whether the known clips are classified correctly.
    """
    is_known = np.repeat([True, False], [len(known), len(unknown)])
    order = np.argsort(-known, kind="stable")
    return {
        "auroc": float(roc_auc_score(is_known, np.concatenate([known, unknown]))),
        "accuracy_at_coverage": {
            f"{coverage:.0%}": float(is_right[order[: max(1, round(coverage * len(known)))]].mean())
            for coverage in _COVERAGES
        },
    }


def summarize(runs: list[LeftOutRun]) -> dict[str, Summary]:
    """Return the means of each measure, and its lead over the first, the simplest one."""
    simplest = next(iter(MEASURES))
    summaries: dict[str, Summary] = {}
    for name in MEASURES:
        scores = [run.measures[name] for run in runs]
        leads = [run.measures[name]["auroc"] - run.measures[simplest]["auroc"] for run in runs]
        error = statistics.stdev(leads) / len(leads) ** 0.5 if len(leads) > 1 else None
        summaries[name] = {
            "auroc": statistics.mean(each["auroc"] for each in scores),
            "lead": statistics.mean(leads),
            "standard_error_of_lead": error,
            "accuracy_at_coverage": {
                coverage: statistics.mean(each["accuracy_at_coverage"][coverage] for each in scores)
                for coverage in scores[0]["accuracy_at_coverage"]
            },
        }
    return summaries


_MEANS = (
    "mean",
    "lead over the first, and its standard error",
    *(f"accuracy on the surest {coverage:.0%} of known clips" for coverage in _COVERAGES),
)


def _rows(runs: list[LeftOutRun], summaries: dict[str, Summary]) -> list[Row]:
    rows = []
    for name, summary in summaries.items():
        error = summary["standard_error_of_lead"]
        rows.append(
            (
                name,
                *(f"{run.measures[name]['auroc']:.3f}" for run in runs),
                f"{summary['auroc']:.3f}",
                f"{summary['lead']:+.3f} ± {'unknown' if error is None else f'{error:.3f}'}",
                *(f"{value:.3f}" for value in summary["accuracy_at_coverage"].values()),
            )
        )
    accuracies = [run.accuracy for run in runs]
    empty = ("", "", "")
    return [
        *rows,
        (
            "accuracy on all known clips",
            *(f"{accuracy:.3f}" for accuracy in accuracies),
            f"{statistics.mean(accuracies):.3f}",
            *empty,
        ),
    ]
