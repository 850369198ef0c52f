"""Benchmark of generators: their clips beside real ones of a fold that they did not learn from."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from freqquest.benchmark import generators_sound
from freqquest.benchmark.generators_config import GeneratorsBenchmark
from freqquest.benchmark.generators_sound import Sound
from freqquest.benchmark.result import BenchmarkResult, mean_and_range
from freqquest.cgan.config import TrainConfig
from freqquest.cgan.realism import mean_of_known
from freqquest.cgan.train import train_cgan
from freqquest.cnn.judge import start_judge
from freqquest.cnn.tune import tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import Manifest
from freqquest.dataset.write import write_dataset
from freqquest.runs import layout
from freqquest.runs.metrics import EvaluationMetrics, GeneratorMetrics, JudgedMetrics
from freqquest.storage import Location, locate

_OF_SPACES = ("accuracy", "kernel", "kernel_by_class", "diversity", "coverage", "copying")


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold that is left out."""

    number: int
    dataset: Location
    manifest: Manifest
    judge: Location
    """Classifier of the other folds."""
    real: Sound


@dataclass(frozen=True, slots=True)
class GeneratorRun:
    """A generator, and its clips beside real ones."""

    preset: str
    fold: int
    seed: int
    epoch: int
    """Epoch that was kept."""
    generated: dict[str, float]
    """Metrics of the generated clips by name; `judge/kernel`."""
    real: dict[str, float]
    """The same metrics of as many real clips."""
    sound: Sound
    """Level and flatness relative to training clips: a difference in dB, and a ratio."""


def benchmark_generators(config: GeneratorsBenchmark) -> str:
    """Train generators, write the results, and return them as a table.

    Needs an initialized Ray. What an earlier call has finished in the work folder is kept.

    Raises:
        UserError: The clips or the metadata are unusable, or the work folder holds something else.
    """
    folds = [_prepare(config, fold) for fold in config.folds]
    runs = [
        _train(config, fold, preset, seed)
        for fold, preset, seed in itertools.product(folds, config.presets, range(config.num_seeds))
    ]
    names = [
        name
        for name in runs[0].generated
        if all(name in run.generated and name in run.real for run in runs)
    ]
    return BenchmarkResult(
        name="generators",
        settings={
            "folds": config.folds,
            "num_seeds": config.num_seeds,
            "epochs": config.epochs,
            "judge_epochs": config.judge_epochs,
        },
        about=f"generators that learn from all folds but one, beside that one (folds "
        f"{', '.join(map(str, config.folds))}; {config.num_seeds} seed(s) each); means and ranges",
        measurements={
            "runs": [{name: getattr(run, name) for name in run.__slots__} for run in runs]
        },
        header=("what", *config.presets, "real clips"),
        rows=[
            *(_row(name, config.presets, runs) for name in names),
            *_sound_rows(config.presets, runs, folds[0].manifest.classes),
        ],
    ).write(locate(config.output))


def _prepare(config: GeneratorsBenchmark, fold: int) -> Fold:
    """Make a fold's dataset and its judge, which learn from the others."""
    work = locate(config.work_dir) / f"fold_{fold}"
    dataset, judge = work / "dataset", work / "judge"
    manifest = write_dataset(
        PreprocessConfig(
            audio_dir=config.audio_dir,
            metadata=config.metadata,
            embedding=config.embedding,
            embedding_rate=config.embedding_rate,
            embedding_tensor=config.embedding_tensor,
            validation_fold=fold,
            dataset_dir=str(dataset),
        )
    )
    # Without members, the model does not learn from the fold, and tells real clips as new ones.
    settings = TuneConfig(
        dataset_dir=str(dataset),
        run_dir=str(judge),
        classifier="cnn",
        num_trials=1,
        num_members=0,
        max_epochs=config.judge_epochs,
    )
    tune_cnn(settings)
    real = generators_sound.of_training_clips(dataset, manifest)
    return Fold(fold, dataset, manifest, judge / layout.MODEL_NAME, real)


def _train(config: GeneratorsBenchmark, fold: Fold, preset: str, seed: int) -> GeneratorRun:
    run_dir = locate(config.work_dir) / f"fold_{fold.number}" / f"{preset}_{seed}"
    settings = TrainConfig(
        dataset_dir=str(fold.dataset),
        run_dir=str(run_dir),
        judge=str(fold.judge),
        preset=preset,  # type: ignore[arg-type]  # checked by the command line
        epochs=config.epochs,
        seed=seed,
    )
    metrics = train_cgan(settings, partial(start_judge, fold.judge, fold.dataset))
    sound = generators_sound.of_generator(run_dir / layout.GENERATOR_NAME)
    return GeneratorRun(
        preset=preset,
        fold=fold.number,
        seed=seed,
        epoch=metrics["generator_epoch"],
        generated=_by_space(metrics, "judge"),
        real=_by_space(metrics, "baseline"),
        sound={
            label: (level - fold.real[label][0], flat / fold.real[label][1])
            for label, (level, flat) in sound.items()
        },
    )


def _by_space(metrics: GeneratorMetrics, of: str) -> dict[str, float]:
    """Return the metrics of generated (`judge`) or real (`baseline`) clips in all spaces."""
    spaces: dict[str, JudgedMetrics] = {"judge": metrics}
    if "embedding" in metrics:
        spaces["embedding"] = metrics["embedding"]
    found: dict[str, float] = {}
    for space, judged in spaces.items():
        evaluation = cast(dict[str, EvaluationMetrics], judged)[of]
        values = evaluation["overall"] | {
            "kernel_by_class": mean_of_known(
                metrics["kernel"] for metrics in evaluation["by_class"].values()
            )
        }
        found |= {
            f"{space}/{name}": value for name in _OF_SPACES if (value := values[name]) is not None
        }
    return found


def _row(name: str, presets: Sequence[str], runs: list[GeneratorRun]) -> tuple[str, ...]:
    generated = (
        mean_and_range([run.generated[name] for run in runs if run.preset == each])
        for each in presets
    )
    return name, *generated, mean_and_range([run.real[name] for run in runs])


def _sound_rows(
    presets: Sequence[str], runs: list[GeneratorRun], classes: Sequence[str]
) -> list[tuple[str, ...]]:
    def cells(part: int, label: str) -> list[str]:
        return [
            mean_and_range([run.sound[label][part] for run in runs if run.preset == each])
            for each in presets
        ]

    names = ("level in dB, minus that of training clips", "flatness, relative to theirs")
    return [
        (f"{name}: {label}", *cells(part, label), "")
        for part, name in enumerate(names)
        for label in classes
    ]
