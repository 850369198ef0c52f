"""What a dataset folder says about itself: `manifest.json`, written last.

Without a manifest there is no dataset; its hashes name a damaged shard.
"""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.errors import UserError
from freqquest.storage import Location

FORMAT_VERSION = 2
MANIFEST_NAME = "manifest.json"
UNFINISHED_NAME = "unfinished.json"
"""Stands in the folder until the manifest does: the settings of the run that has begun."""
QUARANTINE_NAME = "quarantine.csv"
FIGURES_NAME = "figures"
NOT_AUGMENTED = "none"
"""In the column `augmentation`, of clips that are no varied copies."""
SPLITS = ("train", "validation", "test")
OUR_FILES = re.compile(
    r"manifest\.json|unfinished\.json|quarantine\.csv|figures(/\w+\.png)?|"
    r"(train|validation|test)(/part-\d{5,}\.parquet)?"
)
"""All that a dataset folder may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One Parquet file."""

    split: str
    name: str
    num_rows: int
    num_bytes: int
    sha256: str

    @property
    def path(self) -> str:
        """Below the dataset's folder."""
        return f"{self.split}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalization:
    """Mean and standard deviation of a view over the training split, for all of it and for each mel band."""

    mean: float
    standard_deviation: float
    band_means: list[float]
    band_standard_deviations: list[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The dataset's contents and how they were made."""

    version: int
    settings: dict[str, Any]
    """The settings that made it, without the folders."""
    sources_sha256: str
    """Hash of the clips' names, sizes, times of change, labels, recordings, folds and splits: other clips make another
    dataset."""
    classes: list[str]
    """Class names; a clip's class_index is its label's place here."""
    clip: ClipConfig
    views: dict[str, SpectrogramConfig]
    split_description: str
    """Names the split for all who quote an accuracy over it."""
    num_clips: dict[str, dict[str, int]]
    """By split and class, without augmented copies; unlabeled clips stand under the empty name."""
    num_recordings: dict[str, dict[str, int]]
    """By split and class."""
    num_rows: dict[str, int]
    """By split, augmented copies included."""
    seconds: dict[str, dict[str, float]]
    """Length of the audio files by split and class."""
    sample_rates: dict[str, int]
    """Number of audio files by rate in Hz."""
    num_quarantined: int
    normalization: dict[str, Normalization]
    """By view, over the training split."""
    shards: list[Shard]

    @property
    def content_sha256(self) -> str:
        """Hash of all rows: names the dataset in what is made from it."""
        return sha256("".join(shard.sha256 for shard in self.shards).encode())

    def summary(self, dataset_dir: str) -> str:
        """What is in the dataset, for people."""
        splits = [split for split in SPLITS if self.num_rows[split]]
        labels = [
            *self.classes,
            *sorted(
                {label for split in splits for label in self.num_clips[split]} - {*self.classes}
            ),
        ]
        lines = [
            f"{'clips (recordings)':<24}"
            + "".join(f"{split:>18}" for split in splits)
            + f"{'hours':>10}"
        ]
        for label in labels:
            cells = [
                f"{self.num_clips[split].get(label, 0)} ({self.num_recordings[split].get(label, 0)})"
                for split in splits
            ]
            hours = sum(self.seconds[split].get(label, 0.0) for split in splits) / 3600
            lines.append(
                f"{label or '(no label)':<24}"
                + "".join(f"{cell:>18}" for cell in cells)
                + f"{hours:>10.2f}"
            )
        rates = sorted(self.sample_rates.items(), key=lambda item: -item[1])
        return "\n".join(
            [
                *lines,
                f"rows: {', '.join(f'{self.num_rows[split]} {split}' for split in splits)}",
                f"sample rates: {', '.join(f'{count} at {rate} Hz' for rate, count in rates)}",
                f"validation: {self.split_description}",
                f"refused clips: {self.num_quarantined} (listed in {dataset_dir}/{QUARANTINE_NAME})",
                f"dataset: {dataset_dir} (pictures of it in {dataset_dir}/{FIGURES_NAME})",
            ]
        )

    def save(self, dataset: Location) -> None:
        """Commit the dataset: everything else must be in place."""
        (dataset / MANIFEST_NAME).write_text(json.dumps(dataclasses.asdict(self), indent=1))


def load_manifest(dataset: Location) -> Manifest:
    """Read and check a dataset's manifest.

    Raises:
        UserError: No dataset is there, the manifest is damaged, or its version is not known.
    """
    place = dataset / MANIFEST_NAME
    if not place.is_file():
        raise UserError(
            f"{dataset} holds no dataset ({MANIFEST_NAME} is missing): run jobs/preprocess.py first"
        )
    try:
        content = json.loads(place.read_text())
        version = content["version"]
        if version != FORMAT_VERSION:
            raise UserError(
                f"{place} is of format version {version}; this freqquest reads {FORMAT_VERSION}: "
                "preprocess again with --overwrite, or choose another place"
            )
        return Manifest(
            **content
            | {
                "clip": ClipConfig(**content["clip"]),
                "views": {
                    name: SpectrogramConfig(**view) for name, view in content["views"].items()
                },
                "normalization": {
                    name: Normalization(**item) for name, item in content["normalization"].items()
                },
                "shards": [Shard(**shard) for shard in content["shards"]],
            }
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{place} is damaged ({error}): preprocess again with --overwrite"
        ) from error


def sha256(content: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()
