"""Settings of the spectrogram inversion benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class InversionBenchmark(BenchmarkConfig):
    """Measure how close the sound made from a clip's spectrogram is to the clip."""

    audio_dir: str | None = None
    """Local folder with one folder of clips per class. By default, demo clips are made."""

    clips_per_class: int = 8
    """Clips of each class, drawn at random."""

    work_dir: str = "results/benchmarks/work"
    """Folder for the demo clips. Deleted at the end."""

    output: str = "results/benchmarks/inversion.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("clips_per_class")
        self.require_json_output()
