"""Settings of the benchmark of events. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class EventsBenchmark(BenchmarkConfig):
    """Measure the events of recordings that are made of held-out clips with noise between them."""

    dataset_dir: str
    """Dataset with folds, made by the preprocess job with `metadata`. Its audio files are needed
    too."""

    folds: tuple[str, ...] = ()
    """Folds whose clips become recordings, each after training on all others. All folds by default.
    In a dataset without folds, name recordings."""

    num_seeds: int = 3
    """Trainings per fold, without and with a background class; each listens to recordings of its
    own."""

    max_epochs: int | None = None
    """Most epochs per training. The preset's own number by default."""

    output: str = "results/benchmarks/events.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_seeds", "max_epochs")
        self.require_json_output()
