"""A pretrained network, as a dataset and a model refer to it. Light to import."""

from dataclasses import dataclass

FILE_NAMES = ("embedding.tflite", "embedding.onnx")
"""Names of a network's file in the folder of a dataset and in the archive of a model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingConfig:
    """A pretrained network from a mono waveform to a vector, and where its vector is found."""

    name: str
    """Name of its file, which ends with .tflite or .onnx."""

    sha256: str
    """Hash of its file."""

    sample_rate_hz: int
    """Sample rate of its input."""

    tensor: str
    """Name of the tensor with the vector."""

    num_samples: int | None
    """Length of its input in samples; None if it takes any length."""

    num_values: int
    """Length of the vector."""

    @property
    def is_onnx(self) -> bool:
        """Return whether its file is in the format ONNX, and not in that of LiteRT."""
        return self.name.endswith(".onnx")

    @property
    def identity(self) -> dict[str, object]:
        """Settings that two networks with the same vectors share, by their names."""
        return {
            "embedding_sha256": self.sha256,
            "embedding_tensor": self.tensor,
            "embedding_rate": self.sample_rate_hz,
        }

    @property
    def file_name(self) -> str:
        """Name of its file in the folder of a dataset and in the archive of a model."""
        return FILE_NAMES[self.is_onnx]
