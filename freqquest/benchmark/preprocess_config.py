"""Settings of the preprocessing benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessBenchmark(BenchmarkConfig):
    """Compare preprocessing with the loop of the published recipes and with a frozen bare loop."""

    audio_dir: str | None = None
    """Local folder with one folder of clips per class. By default, demo clips are made."""

    work_dir: str = "results/benchmarks/work"
    """Folder for intermediate files, about 4 GB for 20,000 clips. Deleted at the end.
    It must allow hard links."""

    output: str = "results/benchmarks/preprocess.json"
    """JSON file for the measurements. A table is written beside it, ending in .md."""

    num_clips: int = 10_000
    """Clips per timed run. The clips of `audio_dir` are linked repeatedly to get this many."""

    num_naive_clips: int = 1_000
    """Clips per timed run of the recipes' loop, which keeps everything in memory."""

    memory_clips: tuple[int, ...] = (1_000, 20_000)
    """Numbers of clips for which peak memory is measured."""

    plan_files: int = 1_000_000
    """Local files of which a dataset is planned, without making it. 0: none."""

    num_runs: int = 3
    """Runs of each program, interleaved. The median counts."""

    def __post_init__(self) -> None:
        self.require_positive("num_clips", "num_naive_clips", "memory_clips", "num_runs")
        if self.plan_files < 0:
            raise ValueError(f"`plan_files={self.plan_files}` must be 0 or more")
        self.require_json_output()
