"""Settings of the dataset stage. Light to import: `--help` reads it."""

import re
from dataclasses import dataclass
from typing import Literal

from freqquest.audio.augment import AugmentationName
from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, SpectrogramConfig
from freqquest.cluster.requirements import Requirements

ViewName = Literal["cnn", "cgan"]

VIEWS: dict[str, SpectrogramConfig] = {"cnn": CNN_VIEW, "cgan": CGAN_VIEW}
"""The spectrograms stored of every clip; both presets use the recipes' views."""

CLIP = ClipConfig()
"""The waveform form that both recipes share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig:
    """From a folder of labeled clips to a sharded spectrogram dataset."""

    dataset_dir: str
    """Where the dataset is written."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class (at any depth), or with the clips that --metadata lists."""

    metadata: str | None = None
    """CSV that tells of the clips. With the columns path, label (and recording, fold, split as far as known; path is
    relative to --audio-dir) it is the list of clips. With UrbanSound8K's columns (slice_file_name, fsID, and fold,
    class if there) it adds to the clips of the class folders."""

    test_dir: str | None = None
    """Folder of unlabeled clips, stored as the split `test`."""

    split: Literal["recording", "random"] = "recording"
    """`recording`: no recording is in two splits (and whole folds where the metadata has them). `random`: the
    recipe's split, which lets clips of one recording into both: its accuracy measures memory."""

    validation_fraction: float = 0.2
    """Share of the clips wanted for validation."""

    validation_fold: int | None = None
    """Fold to validate on; by default the one whose share is nearest to validation_fraction."""

    recording_pattern: str | None = None
    """Regular expression whose first group is the recording, searched in each file name."""

    num_augmented_copies: int = 0
    """Varied copies of each training clip."""

    augmentations: tuple[AugmentationName, ...] = ("pitch", "speed")
    """How copies are varied; pitch and speed are the recipe's."""

    clips_per_shard: int = 64
    """Rows of a Parquet file; also what one task holds in memory (about 0.2 MB a row)."""

    max_quarantined_fraction: float = 0.05
    """With more unreadable clips than this share, the job stops and commits nothing. One is allowed in any case,
    unless the share is 0."""

    seed: int = 0
    """Seed of the split and of the augmented copies."""

    overwrite: bool = False
    """Replace a dataset made with other settings or other clips."""

    verify: bool = False
    """Only read the dataset that is there, and name every shard that is damaged or missing."""

    def __post_init__(self) -> None:
        if self.audio_dir is None and not self.verify:
            raise ValueError("--audio-dir is missing: which clips? (only --verify needs none)")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} must be between 0 and 1"
            )
        if not 0 <= self.max_quarantined_fraction <= 1:
            raise ValueError(
                f"max_quarantined_fraction={self.max_quarantined_fraction} must be from 0 to 1"
            )
        if self.num_augmented_copies and not self.augmentations:
            raise ValueError(
                "num_augmented_copies needs at least one of the augmentations, else copies are no different"
            )
        if self.num_augmented_copies < 0:
            raise ValueError(f"num_augmented_copies={self.num_augmented_copies} must be 0 or more")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed={self.seed} must be from 0 to {2**31 - 1}")
        if self.clips_per_shard < 1:
            raise ValueError(f"clips_per_shard={self.clips_per_shard} must be 1 or more")
        if self.recording_pattern is not None:
            _check_pattern(self.recording_pattern)

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        if self.verify:
            return Requirements(reads={"dataset_dir": self.dataset_dir})
        reads = {
            "audio_dir": self.audio_dir,
            "metadata": self.metadata,
            "test_dir": self.test_dir,
        }
        return Requirements(reads=reads, writes={"dataset_dir": self.dataset_dir})


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(
            f"recording_pattern={pattern!r} is not a regular expression: {error}"
        ) from error
    if groups != 1:
        raise ValueError(
            f"recording_pattern={pattern!r} has {groups} groups; it needs exactly one, around the recording's name"
        )
