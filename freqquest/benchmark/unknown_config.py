"""Settings of the benchmark of unknown sounds. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownBenchmark(BenchmarkConfig):
    """Compare measures of confidence on clips of classes that were left out of training."""

    dataset_dir: str
    """Dataset with three or more classes, made by the preprocess job."""

    num_classes: int = 5
    """Classes to leave out, each in a training of its own. All, if the dataset has fewer."""

    max_epochs: int | None = None
    """Epochs of a training. The preset's number by default."""

    seed: int = 0
    """Seed of the choice of the classes and of the trainings."""

    output: str = "results/benchmarks/unknown.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_classes", "max_epochs")
        self.require_json_output()
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")
