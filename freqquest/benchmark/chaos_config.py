"""Settings of the chaos benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ChaosBenchmark(BenchmarkConfig):
    """Run small jobs on a cluster of three nodes whose parts are killed at random, and compare what
    they leave with an undisturbed run.

    A job that fails is run again by the same command, until it ends well.
    """

    num_rounds: int = 20
    """Disturbed runs of all jobs: by turns in local folders, and on an S3 server of this machine if
    the package moto is installed (requirements-dev.txt)."""

    mean_interval_s: float = 15.0
    """Mean time between two faults, in seconds. The times are drawn as those of independent
    faults."""

    max_faults: int = 6
    """Most faults of a round, so that it ends."""

    max_attempts: int = 10
    """Most runs of one command in a round."""

    timeout_s: float = 900.0
    """Longest run of one command, in seconds; a longer one counts as hanging."""

    seed: int = 0
    """Seed of the faults and their times."""

    work_dir: str = "results/benchmarks/work"
    """Folder for intermediate files. Deleted at the end."""

    output: str = "results/benchmarks/chaos.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_rounds", "max_faults", "max_attempts", "timeout_s")
        if self.mean_interval_s <= 0:
            raise ValueError(f"`mean_interval_s={self.mean_interval_s:g}` must be above 0")
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")
        self.require_json_output()
