"""Settings of the benchmark of few clips. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class FewClipsBenchmark(BenchmarkConfig):
    """Compare classifiers that learn from few clips of each class, on held-out folds."""

    dataset_dir: str
    """Dataset with folds, made by the preprocess job with `metadata`; if it has an embedding, heads
    on its vectors are compared too."""

    sizes: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of training clips of each class."""

    num_draws: int = 3
    """Draws of training clips of each size; each tests on the next fold."""

    folds: tuple[str, ...] = ()
    """Folds to test on. All folds by default. In a dataset without folds, name recordings."""

    max_epochs: int | None = None
    """Most epochs per training. Each preset's own number by default."""

    output: str = "results/benchmarks/few_clips.json"
    """JSON file for the measurements. A table and a plot are written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("sizes", "num_draws", "max_epochs")
        self.require_json_output()
