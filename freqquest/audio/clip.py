"""Format that every clip is converted to: sample rate and length. Imports no audio library."""

from dataclasses import dataclass

MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 1_000, 768_000
"""Limits of a sample rate: beyond them, a file's header is corrupt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """Format of every clip: mono, with one sample rate and one length."""

    sample_rate_hz: int = 22_050
    """Sample rate of the waveforms, in Hz."""

    duration_s: float = 4.0
    """Length of every clip, in seconds. Shorter files are padded with silence, longer ones cut."""

    def __post_init__(self) -> None:
        if not MIN_SAMPLE_RATE_HZ <= self.sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
            raise ValueError(
                f"`sample_rate_hz={self.sample_rate_hz}` must be between {MIN_SAMPLE_RATE_HZ} and "
                f"{MAX_SAMPLE_RATE_HZ} Hz"
            )
        if not 0 < self.duration_s <= 600:
            raise ValueError(
                f"`duration_s={self.duration_s}` must be above 0 and at most 600 seconds"
            )

    @property
    def num_samples(self) -> int:
        """Number of samples in a clip."""
        return round(self.sample_rate_hz * self.duration_s)
