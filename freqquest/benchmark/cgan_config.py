"""Settings of the generator benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class CganBenchmark(BenchmarkConfig):
    """Compare the generator's training steps with the recipe's loop and with bare arithmetic."""

    dataset_dir: str
    """Dataset made by the preprocess job. The recipe's loop reads the audio files that it lists,
    which must be on this machine."""

    num_steps: int = 16
    """Steps per timed run. A multiple of eight contains its fair share of R1 penalties."""

    num_runs: int = 3
    """Runs of everything timed, interleaved. The median of the ratios within each round counts."""

    num_agreement_steps: int = 30
    """Steps over which losses are compared with those of the recipe's loop, from the same weights
    and clips."""

    use_gpu: bool = False
    """Measure on a GPU."""

    output: str = "results/benchmarks/cgan.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_steps", "num_runs", "num_agreement_steps")
        self.require_json_output()
