"""Settings of the preprocess stage. Light to import, for `--help`."""

import re
from dataclasses import dataclass
from typing import Literal

from freqquest.audio.augment import AugmentationName
from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, SpectrogramConfig
from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements

ViewName = Literal["cnn", "cgan"]

VIEWS: dict[str, SpectrogramConfig] = {"cnn": CNN_VIEW, "cgan": CGAN_VIEW}
"""Spectrograms stored for every clip. Both presets use the recipes' views."""

CLIP = ClipConfig()
"""Waveform format that both recipes share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig:
    """Turn a folder of labeled clips into a sharded spectrogram dataset."""

    dataset_dir: str
    """Folder to write the dataset to."""

    audio_dir: str | None = None
    """Folder with one folder of clips per class, at any depth, or with the clips that `metadata`
    lists."""

    metadata: str | None = None
    """CSV that describes the clips. With the columns path and label (optionally recording, fold,
    split) it is the list of clips; path is relative to `audio_dir`. With UrbanSound8K's columns
    (slice_file_name, fsID, optionally fold, class) it adds to the clips of the class folders."""

    test_dir: str | None = None
    """Folder of unlabeled clips, stored as the test split."""

    split: Literal["recording", "random"] = "recording"
    """Way to divide the clips. recording: no recording is in two splits; one whole fold is held out
    if `metadata` has folds. random: the recipe's split, which puts clips of one recording into both
    splits, so that its accuracy measures memory."""

    validation_fraction: float = 0.2
    """Fraction of the clips that is held out for validation."""

    validation_fold: int | None = None
    """Fold for validation; by default the one whose size is closest to `validation_fraction`."""

    recording_pattern: str | None = None
    """Regular expression to search in each file name; its only group is the recording."""

    num_augmented_copies: int = 0
    """Augmented copies of each training clip."""

    augmentations: tuple[AugmentationName, ...] = ("pitch", "speed")
    """Augmentations of the copies. Pitch and speed are the recipe's."""

    clips_per_shard: int = 64
    """Rows of a Parquet file. A task holds one file in memory, at about 0.2 MB per row."""

    max_quarantined_fraction: float = 0.05
    """Fraction of rejected clips above which the job stops without a dataset. One rejected clip is
    always allowed unless this is 0."""

    seed: int = 0
    """Seed of the split and of the augmented copies."""

    overwrite: bool = False
    """Replace a dataset that was made with other settings or other clips."""

    verify: bool = False
    """Only check the existing dataset, and name every shard that is corrupt or missing."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.audio_dir is None and not self.verify:
            raise ValueError("`audio_dir` is missing: it is needed unless `verify=True`")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"`validation_fraction={self.validation_fraction}` must be between 0 and 1"
            )
        if not 0 <= self.max_quarantined_fraction <= 1:
            raise ValueError(
                f"`max_quarantined_fraction={self.max_quarantined_fraction}` must be from 0 to 1"
            )
        if self.num_augmented_copies and not self.augmentations:
            raise ValueError(
                f"`num_augmented_copies={self.num_augmented_copies}` needs at least one of "
                "`augmentations`: without any, the copies would equal their clips"
            )
        if self.num_augmented_copies < 0:
            raise ValueError(
                f"`num_augmented_copies={self.num_augmented_copies}` must be 0 or more"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed={self.seed}` must be from 0 to {2**31 - 1}")
        if self.clips_per_shard < 1:
            raise ValueError(f"`clips_per_shard={self.clips_per_shard}` must be 1 or more")
        if self.recording_pattern is not None:
            _check_pattern(self.recording_pattern)

    @property
    def requirements(self) -> Requirements:
        """Requirements of the job on the cluster and the storage."""
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
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(
            f"`recording_pattern={pattern}` is not a regular expression: {error}"
        ) from error
    if num_groups != 1:
        raise ValueError(
            f"`recording_pattern={pattern}` has {num_groups} groups: it needs exactly one, around "
            "the recording's name"
        )
