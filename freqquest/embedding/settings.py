"""Settings that choose a pretrained network. Light to import, for `--help`."""

from dataclasses import dataclass

from freqquest.audio.clip import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingSettings:
    """A pretrained network whose vectors go with the clips."""

    embedding: str | None = None
    """File of a pretrained network from waveforms to vectors, .tflite or .onnx. Its vectors are
    stored beside the spectrograms, and the classifier learns from both."""

    embedding_rate: int | None = None
    """Sample rate of the network's input, in Hz. Known networks, such as YAMNet, need none."""

    embedding_tensor: str | None = None
    """Name of the network's tensor with the vector, or a part of it that no other name has.
    Default: its only output, or that of known networks."""

    def __post_init__(self) -> None:
        for name in ("embedding_rate", "embedding_tensor"):
            if getattr(self, name) is not None and self.embedding is None:
                raise ValueError(f"`{name}` needs `embedding`, the network that it applies to")
        rate = self.embedding_rate
        if rate is not None and not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
            raise ValueError(
                f"`embedding_rate={rate}` must be between {MIN_SAMPLE_RATE_HZ} and "
                f"{MAX_SAMPLE_RATE_HZ} Hz"
            )
