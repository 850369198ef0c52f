"""Settings of the export job. Light to import, because `--help` reads them."""

import posixpath
from dataclasses import dataclass
from typing import Literal

from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements

Format = Literal["onnx", "litert", "saved_model"]

ONNX_OPSET = 18
"""Version of the operators in ONNX files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """Convert a model for other runtimes."""

    model: str
    """Model: best_model.keras of a tune_cnn run, or generator.safetensors of a train_cgan run."""

    format: Format
    """Format. onnx: a file for ONNX Runtime; litert: a .tflite file for LiteRT (TensorFlow Lite);
    saved_model: a folder for TensorFlow. Generators have onnx alone."""

    output: str
    """File to write, or folder for saved_model."""

    dataset_dir: str | None = None
    """Dataset that the classifier was made from. Its validation clips are classified by both models
    to compare them, if their audio files are still there. Default: demo clips."""

    int8: bool = False
    """Compute the network in whole numbers of 8 bits, calibrated on the training clips of
    `dataset_dir`; the spectrogram and the probabilities stay float32. Only with `format=litert`."""

    overwrite: bool = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.output or (self.output.endswith("/") and self.format != "saved_model"):
            kind = "folder" if self.format == "saved_model" else "file"
            raise ValueError(f"`output={self.output}` must be the path of a {kind}")
        if self.int8 and self.format != "litert":
            raise ValueError(
                f"`int8` needs `format=litert`, not {self.format}: leave it out for float32"
            )
        if self.int8 and self.dataset_dir is None:
            raise ValueError(
                "`int8` needs `dataset_dir`: its training clips set the ranges of the numbers, and "
                "its validation clips measure the loss"
            )

    @property
    def requirements(self) -> Requirements:
        """Paths that the job needs."""
        return Requirements(
            reads={"model": self.model, "dataset_dir": self.dataset_dir},
            writes={"output": posixpath.dirname(self.output) or "."},
        )
