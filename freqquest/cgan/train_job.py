"""What the driver and its workers tell each other. Free of torch."""

from dataclasses import dataclass
from typing import Any

from ray.util.queue import Queue

from freqquest.cgan.config import CganConfig, TrainConfig
from freqquest.dataset.manifest import Manifest
from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One training."""

    dataset: Location
    manifest: Manifest
    run: Location
    config: TrainConfig
    progress: Queue
    """Where rank 0 tells how many clips are done."""
    resources: dict[str, float]
    """Of each worker."""
    settings_sha256: str
    """Of all that shapes the generator: a checkpoint of other settings is refused."""
    judge: Any
    """Handle of the actor that hears generated clips, or None; its methods are those of freqquest.cnn.judge.Judge."""

    @property
    def cgan_config(self) -> CganConfig:
        """Networks and optimization."""
        return self.config.cgan_config


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedClip:
    """A WAV file and the class it was made for."""

    label: str
    path: str
    name: str
