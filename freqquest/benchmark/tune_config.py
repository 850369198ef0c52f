"""Settings of the search benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneBenchmark(BenchmarkConfig):
    """Measure the share of a search's core time that is not spent on training."""

    dataset_dir: str
    """Dataset made by the preprocess job."""

    num_trials: int = 16
    """Trials of the search."""

    max_epochs: int = 3
    """Most epochs per trial. Some trials are stopped early."""

    work_dir: str = "results/benchmarks/work"
    """Run folder of the search. Deleted at the end."""

    output: str = "results/benchmarks/tune.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_trials", "max_epochs")
        self.require_json_output()
