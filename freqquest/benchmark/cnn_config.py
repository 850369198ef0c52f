"""Settings of the classifier benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig
from freqquest.presets import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnBenchmark(BenchmarkConfig):
    """Compare the classifier's presets, and a pretrained network, on held-out folds."""

    dataset_dir: str
    """Dataset with folds, made by the preprocess job with `metadata`; if it has an embedding, heads
    on its vectors are compared too."""

    presets: tuple[Preset, ...] = ("reference", "default")
    """Presets to train."""

    folds: tuple[str, ...] = ()
    """Folds to test on, each after training on all others. All folds by default. In a dataset
    without folds, name recordings."""

    num_seeds: int = 3
    """Trainings of each preset per fold."""

    max_epochs: int | None = None
    """Most epochs per training. Each preset's own number by default."""

    memory_mb: float | None = None
    """Most MB of spectrograms in memory: if the dataset has more, each epoch draws them from a part
    of its shards at a time. As in a search by default."""

    output: str = "results/benchmarks/cnn.json"
    """JSON file for the measurements. A table and plots are written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("num_seeds", "max_epochs", "memory_mb")
        self.require_each_once("presets")
        self.require_json_output()
