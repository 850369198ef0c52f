"""Settings of the detection benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig

_MARGIN_S = 10.0
"""Sound beyond the start of the loop's last window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectBenchmark(BenchmarkConfig):
    """Measure the speed of detection in long recordings, beside a loop over their windows."""

    model: str | None = None
    """Classifier: best_model.keras of a run. By default, an untrained network of the preset
    `default` with ten classes is as fast."""

    hours: tuple[float, ...] = (1.0, 4.0)
    """Lengths of the recordings that the job listens to; each is a run of its own."""

    num_loop_windows: int = 600
    """Windows of the loop."""

    hop: float = 1.0
    """Step between the starts of two windows, in seconds."""

    num_runs: int = 3
    """Runs of each program, interleaved. The median counts."""

    work_dir: str = "results/benchmarks/work"
    """Folder for the recordings, 160 MB an hour. Deleted at the end."""

    output: str = "results/benchmarks/detect.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_loop_windows", "num_runs")
        if not self.hours or min(self.hours) <= 0:
            raise ValueError(f"`hours={' '.join(map(str, self.hours))}` must be above 0")
        longest_s, needed_s = 3600 * max(self.hours), self.num_loop_windows * self.hop + _MARGIN_S
        if needed_s > longest_s:
            raise ValueError(
                f"`num_loop_windows={self.num_loop_windows}` needs a recording of {needed_s:g} s, "
                f"and the longest of `hours` is {longest_s:g} s: give fewer windows or more hours"
            )
        self.require_json_output()
