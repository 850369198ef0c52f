"""Settings of the benchmark of the service. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeBenchmark(BenchmarkConfig):
    """Measure the service under load: time to an answer, and answers a second."""

    model: str | None = None
    """Classifier: best_model.keras of a run. By default, an untrained network of the preset
    `default` with ten classes is as fast."""

    num_clients: tuple[int, ...] = (1, 20)
    """Numbers of clients that ask at once, each for its next answer as soon as it has one."""

    num_requests: int = 200
    """Requests of all clients together."""

    max_batch: tuple[int, ...] = (1, 8)
    """Largest numbers of requests whose windows go through the network together; each is a service
    of its own."""

    num_runs: int = 3
    """Runs with each number, interleaved. The median counts."""

    work_dir: str = "results/benchmarks/work"
    """Folder for the clip and the model. Deleted at the end."""

    output: str = "results/benchmarks/serve.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_clients", "num_requests", "max_batch", "num_runs")
        self.require_json_output()
