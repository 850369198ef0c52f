"""Settings of the extra-clips benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraBenchmark(BenchmarkConfig):
    """Compare the classifier trained with and without extra clips, on unseen recordings."""

    dataset_dir: str
    """Dataset made by the preprocess job. The training split is trained on, the validation split
    is tested on."""

    extra_clips: str
    """Folder of extra training clips, as for the tune_cnn job. If a generator made them, it must
    have been trained on this dataset's training split only, or the results are too good."""

    num_seeds: int = 3
    """Trainings with and without the extra clips."""

    max_epochs: int | None = None
    """Most epochs per training. The preset's own number by default."""

    output: str = "results/benchmarks/extra.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_seeds", "max_epochs")
        self.require_json_output()
