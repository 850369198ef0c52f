"""Data that drivers and workers exchange. Imports neither torch nor Ray."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from freqquest.cgan.config import CganConfig, TrainConfig
from freqquest.dataset.manifest import Manifest
from freqquest.runs.tracked_training import TrackedTraining
from freqquest.storage import Location

if TYPE_CHECKING:
    from freqquest.cgan.judging import Judge


JudgeStarter = Callable[[list[str], float], "Judge"]
"""Starts a judge, given the classes and the length of the clips in seconds."""


class ProgressChannel(Protocol):
    """Channel by which a worker reports its progress to the driver."""

    def put(self, message: tuple[int | None, str]) -> None:
        """Send the number of clips done, or None to leave it, and a note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One training."""

    dataset: Location
    """Folder of the dataset."""
    manifest: Manifest
    """Manifest of the dataset."""
    run: Location
    """Run folder."""
    config: TrainConfig
    """Settings of the job."""
    progress: ProgressChannel | None
    """Channel by which the worker of rank 0 reports the number of clips done."""
    resources: dict[str, float]
    """Ray resources of each worker."""
    settings_sha256: str
    """Hash of all settings that shape the generator; checkpoints with another one are refused."""
    judge: "Judge | None"
    """Classifier that scores generated clips."""
    tracked: TrackedTraining | None = None
    """The training's run in a tracker, which also gets each epoch."""

    @property
    def cgan_config(self) -> CganConfig:
        """Networks and optimization."""
        return self.config.cgan_config


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedClip:
    """WAV file of a generated clip."""

    label: str
    """Class that the clip was generated for."""
    path: str
    """Path or URI of the file."""
    name: str
    """Name of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """Result of the generate job."""

    clips: list[GeneratedClip]
    """The files, by class and index."""
    num_candidates: int
    """Number of clips that they were chosen from."""
    num_recognized: int | None
    """Candidates that the judge recognizes; None without a judge."""
