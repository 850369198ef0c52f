"""Settings of the export benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportBenchmark(BenchmarkConfig):
    """Measure a classifier's size, speed and agreement in every format, each in its own runtime."""

    model: str
    """Classifier: best_model.keras of a run."""

    dataset_dir: str
    """Dataset that it was made from, whose validation clips it should not have been trained on."""

    output: str = "results/benchmarks/export.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_json_output()
