"""freqquest: distributed audio training jobs on Ray.

```python
import freqquest

dataset = freqquest.preprocess(
    freqquest.PreprocessConfig(audio_dir="train", dataset_dir="data/clips")
)
classifier = freqquest.Classifier.load("results/train/best_model.keras")
generator = freqquest.Generator.load("results/train/generator.safetensors")
```

Importing it is fast: each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freqquest.cgan.config import TrainConfig
    from freqquest.cgan.generator import Generator
    from freqquest.cnn.classifier import Classifier
    from freqquest.cnn.tune_config import TuneConfig
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.dataset.dataset import Dataset
    from freqquest.detection.config import DetectConfig
    from freqquest.errors import UserError
    from freqquest.export.config import ExportConfig
    from freqquest.export.export import export_model
    from freqquest.pipeline_config import PipelineConfig
    from freqquest.stages import detect, preprocess, run_pipeline, train_generator, tune

    __version__: str

__all__ = [
    "Classifier",
    "Dataset",
    "DetectConfig",
    "ExportConfig",
    "Generator",
    "PipelineConfig",
    "PreprocessConfig",
    "TrainConfig",
    "TuneConfig",
    "UserError",
    "__version__",
    "detect",
    "export_model",
    "preprocess",
    "run_pipeline",
    "train_generator",
    "tune",
]

_MODULES = {
    "Classifier": "freqquest.cnn.classifier",
    "Dataset": "freqquest.dataset.dataset",
    "DetectConfig": "freqquest.detection.config",
    "ExportConfig": "freqquest.export.config",
    "Generator": "freqquest.cgan.generator",
    "PipelineConfig": "freqquest.pipeline_config",
    "PreprocessConfig": "freqquest.dataset.config",
    "TrainConfig": "freqquest.cgan.config",
    "TuneConfig": "freqquest.cnn.tune_config",
    "UserError": "freqquest.errors",
    "detect": "freqquest.stages",
    "export_model": "freqquest.export.export",
    "preprocess": "freqquest.stages",
    "run_pipeline": "freqquest.stages",
    "train_generator": "freqquest.stages",
    "tune": "freqquest.stages",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of this module

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return _read_version()
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _read_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # run from a folder of code, as a submitted job is
        return "unknown"
