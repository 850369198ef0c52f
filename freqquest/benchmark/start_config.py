"""Settings of the benchmark of a job's start. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class StartBenchmark(BenchmarkConfig):
    """Time the steps from a job's command to the first task of Ray, and to its framework."""

    num_runs: int = 5
    """Starts of each job, in turn. The medians count."""

    output: str = "results/benchmarks/start.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_runs")
        self.require_json_output()
