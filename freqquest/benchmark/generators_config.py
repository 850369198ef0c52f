"""Settings of the benchmark of generators. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig
from freqquest.presets import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorsBenchmark(BenchmarkConfig):
    """Train generators from several seeds without a fold, and compare their clips with that fold.

    The same command continues an interrupted benchmark.
    """

    audio_dir: str
    """Folder with one folder of clips for each class."""

    metadata: str
    """CSV with the fold of each clip."""

    embedding: str | None = None
    """Pretrained network (.tflite or .onnx), which judges the clips too."""

    embedding_rate: int | None = None
    """Its sample rate, as for the preprocess job."""

    embedding_tensor: str | None = None
    """Its tensor, as for the preprocess job."""

    presets: tuple[Preset, ...] = ("default",)
    """Presets to train."""

    folds: tuple[int, ...] = (1, 2)
    """Folds, each of which is left out in turn."""

    num_seeds: int = 3
    """Trainings of each preset per fold."""

    epochs: int | None = None
    """Epochs per training. Each preset's own number by default."""

    judge_epochs: int | None = None
    """Most epochs of the judge's training. Its own number by default."""

    work_dir: str = "results/benchmarks/work/generators"
    """Folder for datasets, judges and training runs, which stay."""

    output: str = "results/benchmarks/generators.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive("folds", "num_seeds", "epochs", "judge_epochs")
        self.require_each_once("presets", "folds")
        self.require_json_output()
