"""Settings of the benchmarks. Light to import: `--help` reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessBenchmark:
    """Preprocessing against the published recipes' loop, and against the machine's limit."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class, on this machine; without it, demo clips are made."""

    work_dir: str = "results/benchmark"
    """Folder for what is made on the way (some 4 GB with 20,000 clips); emptied at the end."""

    output: str = "results/benchmarks/preprocess.json"
    """Figures; a table of them goes beside it, ending in .md."""

    num_clips: int = 10_000
    """Clips of a timed run: those of the folder, linked several times over."""

    num_naive_clips: int = 1_000
    """Clips of a timed run of the recipes' loop, which keeps all in memory."""

    memory_clips: tuple[int, ...] = (1_000, 20_000)
    """Numbers of clips at which the peak memory of each process is taken."""

    num_runs: int = 3
    """Runs of each thing timed, in turn; the median counts."""

    def __post_init__(self) -> None:
        if min(self.num_clips, self.num_naive_clips, self.num_runs, *self.memory_clips) < 1:
            raise ValueError("num_clips, num_naive_clips, memory_clips and num_runs must be 1 or more")
        if not self.output.endswith(".json"):
            raise ValueError(f"output={self.output} must end in .json")
