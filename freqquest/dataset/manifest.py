"""`manifest.json`, the description of a dataset, written last.

A folder without a manifest is not a dataset. The manifest's hashes identify corrupt shards.
"""

import bisect
import dataclasses
import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.choices import check_types
from freqquest.dataset.windows import WindowConfig
from freqquest.embedding.config import EmbeddingConfig
from freqquest.errors import UserError
from freqquest.runs import tables
from freqquest.storage import Location

FORMAT_VERSION = 4
"""Version of new manifests. Also read are version 3, whose rows have no times, and version 2, which
spells "normalisation".
"""

MANIFEST_NAME = "manifest.json"

UNFINISHED_NAME = "unfinished.json"
"""File with the settings of a run that has begun; it is removed when the manifest is written."""

NOT_AUGMENTED = "none"
"""Value of the column `augmentation` for clips that are not augmented copies."""

LABEL_SEPARATOR = tables.LABEL_SEPARATOR
"""Separator of the labels of a clip that has several."""

SPLITS = ("train", "validation", "test")

ROW_COLUMNS = (
    "clip_id",
    "path",
    "start_s",
    "end_s",
    "label",
    "class_index",
    "class_indices",
    "recording",
    "fold",
    "split",
    "augmentation",
)
"""Columns of a shard, before one column per view. Version 3 has no `start_s` and `end_s`, as its
clips begin with their files, and no `class_indices`, as they have one label.
"""

EMBEDDING_COLUMN = "embedding"
"""Column of a shard with the vectors of a pretrained network, float32; behind the views."""

DATASET_FILES = re.compile(
    r"manifest(\.\d+)?\.json|unfinished\.json|quarantine\.csv|warnings\.csv|figures(/\w+\.png)?|"
    r"(train|validation|test)(/part-\d{5,}\.parquet)?|embedding\.(tflite|onnx)"
)
"""Pattern of every path that a dataset folder may contain."""


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
        """Path relative to the dataset's folder."""
        return f"{self.split}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalization:
    """Mean and standard deviation of a view over the training split, overall and per mel band."""

    mean: float
    standard_deviation: float
    band_means: list[float]
    band_standard_deviations: list[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Contents of a dataset and the settings that made it."""

    version: int
    """Format version; always FORMAT_VERSION, as older manifests are converted when read."""

    settings: dict[str, object]
    """Settings that made the dataset, without its folders."""

    sources_sha256: str
    """Hash of the clips' names, sizes, modification times, labels, recordings, folds, and splits in
    the user's tables; before version 4, of the final splits. Other clips make another dataset."""

    classes: list[str]
    """Class names, in the order of `class_index`."""

    clip: ClipConfig
    """Waveform format of the clips."""

    views: dict[str, SpectrogramConfig]
    """Settings of each view's spectrograms."""

    split_description: str
    """Description of the split, to go with every accuracy over it."""

    num_clips: dict[str, dict[str, int]]
    """Number of clips by split and class, without augmented copies. The class of unlabeled clips is
    the empty string."""

    num_recordings: dict[str, dict[str, int]]
    """Number of recordings by split and class."""

    num_rows: dict[str, int]
    """Number of rows by split, including augmented copies."""

    seconds: dict[str, dict[str, float]]
    """Duration of the clips' sound by split and class; before version 4, of their whole files."""

    sample_rates: dict[str, int]
    """Number of clips by sample rate of their file in Hz."""

    num_quarantined: int
    """Number of rejected clips: those that could not be read, and entries that are no clips."""

    normalization: dict[str, Normalization]
    """Statistics of each view over the training split."""

    shards: list[Shard]
    """Shards in the order of the splits and their names."""

    windows: WindowConfig = field(default_factory=WindowConfig)
    """Windows of each file that became clips."""

    background_label: str | None = None
    """Class that is the background, which is never an answer; None if there is none."""

    embedding: EmbeddingConfig | None = None
    """Pretrained network whose vectors the clips have; None if they have none."""

    has_several_labels: bool = False
    """True if there are clips with several labels."""

    num_warnings: int = 0
    """Number of clips in warnings.csv, which may be useless."""

    num_cut: int = 0
    """Number of clips whose file, or annotated sound, goes on after them."""

    num_padded: int = 0
    """Number of clips with more padding than sound."""

    notes: list[str] = field(default_factory=list)
    """Lines of the summary about the sources: their layout, where recordings come from."""

    @property
    def sound_classes(self) -> list[str]:
        """Class names without the background's."""
        return [label for label in self.classes if label != self.background_label]

    @property
    def skipped_index(self) -> int | None:
        """Index in the shards of a background that `classes` leaves out, as classes are sorted."""
        if self.background_label is None or self.background_label in self.classes:
            return None
        return bisect.bisect(self.classes, self.background_label)

    @property
    def content_sha256(self) -> str:
        """Hash of all rows, which identifies the dataset in everything made from it."""
        return sha256("".join(shard.sha256 for shard in self.shards).encode())

    def require_one_label(self, dataset_dir: str, purpose: str, fix: str) -> None:
        """Refuse clips with several labels.

        Args:
            dataset_dir: Folder of the dataset, for the error.
            purpose: What cannot use such clips.
            fix: What to do instead.

        Raises:
            UserError: There are such clips.
        """
        if self.has_several_labels:
            raise UserError(
                f"{purpose} needs one label a clip, and `dataset_dir={dataset_dir}` has clips "
                f"with several labels: {fix}"
            )

    def save(self, dataset: Location) -> None:
        """Write the manifest, which commits the dataset: everything else must be complete.

        That of the same dataset with fewer clips is kept as manifest.1.json, and so on.
        """
        if (dataset / MANIFEST_NAME).is_file():
            numbers = itertools.count(1)
            free = next(n for n in numbers if not (dataset / f"manifest.{n}.json").exists())
            earlier = (dataset / MANIFEST_NAME).read_bytes()
            (dataset / f"manifest.{free}.json").write_bytes(earlier)
        content = dataclasses.asdict(self)
        for name in ("background_label", "embedding"):
            if content[name] is None:  # so that an earlier freqquest reads the dataset
                del content[name]
        (dataset / MANIFEST_NAME).write_text(json.dumps(content, indent=1))


def load_manifest(dataset: Location) -> Manifest:
    """Read and check a dataset's manifest.

    Raises:
        UserError: There is no dataset, the manifest is corrupt, or its version is unknown.
    """
    path = dataset / MANIFEST_NAME
    if not path.is_file():
        raise UserError(
            f"{dataset} is not a dataset ({MANIFEST_NAME} is missing): run the preprocess job first"
        )
    return _read(path)


def content_hashes(dataset: Location) -> set[str]:
    """Return the hashes of a dataset's rows as they are, and as they were before clips were added.

    Raises:
        UserError: A manifest is corrupt, or its version is unknown.
    """
    names = re.compile(r"manifest(\.\d+)?\.json")
    manifests = [_read(path) for path in dataset.list_dir() if names.fullmatch(path.name)]
    return {manifest.content_sha256 for manifest in manifests}


def _read(path: Location) -> Manifest:
    text = path.read_bytes()
    try:
        content = json.loads(text)
        version = content.pop("version")
        if version == 2:
            content["normalization"] = content.pop("normalisation")
        elif version not in (3, FORMAT_VERSION):
            raise UserError(
                f"{path} has format version {version}, but this freqquest reads 2 to "
                f"{FORMAT_VERSION}: run the preprocess job with `overwrite=True` to make it again"
            )
        return _from_json(content)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"{path} is corrupt ({error}): run the preprocess job with `overwrite=True` to make it "
            "again"
        ) from error


def _from_json(content: dict[str, Any]) -> Manifest:
    views = {name: SpectrogramConfig(**view) for name, view in content["views"].items()}
    normalization = {
        name: Normalization(**statistics) for name, statistics in content["normalization"].items()
    }
    embedding = content.get("embedding")
    parsed = {
        "version": FORMAT_VERSION,
        "clip": ClipConfig(**content["clip"]),
        "windows": WindowConfig(**content.get("windows", {})),
        "views": views,
        "normalization": normalization,
        "shards": [Shard(**shard) for shard in content["shards"]],
        "embedding": None if embedding is None else EmbeddingConfig(**embedding),
    }
    manifest = Manifest(**content | parsed)
    check_types(manifest, Manifest)
    return manifest


def sha256(content: bytes | memoryview) -> str:
    """Return the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()
