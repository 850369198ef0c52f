"""Settings of the benchmark of very many clips. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyClipsBenchmark(BenchmarkConfig):
    """Measure time and peak memory of each job with up to a million clips.

    The clips are links to a few, and short: 1 s at 8 kHz.
    """

    audio_dir: str | None = None
    """Local folder with one folder of clips per class. By default, demo clips are made."""

    num_clips: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Numbers of clips, each at least 500."""

    max_decoded: int = 100_000
    """Most clips that are preprocessed and classified. Where there are more, the rows of the
    dataset are repeated with other names, and the time for the rest is reckoned."""

    num_steps: int = 300
    """Steps of the training, which is one epoch; the batches are as large as that needs."""

    work_dir: str = "results/benchmarks/work"
    """Folder for intermediate files, about 3 GB for a million clips. Deleted at the end."""

    output: str = "results/benchmarks/many_clips.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_each_once("num_clips")
        self.require_positive("num_clips", "max_decoded", "num_steps")
        if min(*self.num_clips, self.max_decoded) < 500:
            raise ValueError(
                "`num_clips` and `max_decoded` must be 500 or more, so that each split has clips"
            )
        if list(self.num_clips) != sorted(self.num_clips):
            raise ValueError("`num_clips` must name smaller numbers first")
        self.require_json_output()
