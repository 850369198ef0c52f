"""Settings of the preprocess stage. Light to import, for `--help`."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from freqquest.audio.augment import AugmentationName
from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.choices import check_choices, check_pattern
from freqquest.cluster.requirements import Requirements
from freqquest.dataset.quarantine import check_quarantined_fraction
from freqquest.dataset.views import RECIPE_VIEWS, make_view
from freqquest.dataset.windows import WindowConfig, WindowsKind, choose_windows
from freqquest.embedding.settings import EmbeddingSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSettings(EmbeddingSettings):
    """Settings of a dataset: the preprocess job and the pipeline share them."""

    metadata: str | None = None
    """CSV that describes the clips. With the columns path and label (optionally recording, fold,
    split) it is the list of clips; path is relative to `audio_dir`. With UrbanSound8K's columns
    (slice_file_name, fsID, optionally fold, class) it adds to the clips of the class folders.
    Tables of other known data sets are recognized by their columns."""

    annotations: str | None = None
    """Times of the sounds in the files, whose parts become clips: a CSV with the columns path,
    start_s, end_s and label, or a folder of Audacity label files or Raven selection tables."""

    test_dir: str | None = None
    """Folder of unlabeled clips, stored as the test split."""

    path_column: str | None = None
    """Column of `metadata` or `annotations` with the paths of the files."""

    label_column: str | None = None
    """Column of `metadata` or `annotations` with the labels."""

    background_label: str | None = None
    """Class of clips that have no sound of the others: it is trained, but is never an answer. A
    class folder `_background` or `_background_noise_` is one without this setting."""

    label_separator: str = ";"
    """Separator of several labels in a cell of `metadata` or `annotations`. FSD50K's commas are
    known."""

    recording_column: str | None = None
    """Column of `metadata` or `annotations` with the recordings."""

    fold_column: str | None = None
    """Column of `metadata` or `annotations` with the folds."""

    split_column: str | None = None
    """Column of `metadata` or `annotations` with the splits."""

    sample_rate: int = 22_050
    """Sample rate of the clips, in Hz. Files with another rate are resampled."""

    duration: float = 4.0
    """Length of the clips, in seconds. Shorter files are padded with silence."""

    windows: WindowsKind = "first"
    """Parts of a file, or of an annotated sound, that become clips. first: its beginning. all:
    windows at steps of `window_hop`, of which the last one ends with the file. loudest: the window
    of highest power, or `max_windows_per_file` of them that do not overlap."""

    window_hop: float | None = None
    """Step between the starts of windows, in seconds. Default: `duration`, or a quarter of it with
    `windows=loudest`."""

    max_windows_per_file: int | None = None
    """Largest number of windows of a file, spread evenly over it. Default: no limit, or 1 with
    `windows=loudest`."""

    num_mels: int = 128
    """Mel bands of both spectrograms."""

    min_frequency: float = 0.0
    """Lower edge of the lowest mel band, in Hz."""

    max_frequency: float | None = None
    """Upper edge of the highest mel band, in Hz. Default: half the sample rate."""

    cnn_n_fft: int | None = None
    """Analysis window of the classifier's spectrogram, in samples. Default: 2048 at 22,050 Hz, and
    about as many seconds at other rates."""

    cnn_hop_length: int | None = None
    """Step of the classifier's spectrogram, in samples. Default: a quarter of `cnn_n_fft`."""

    cgan_n_fft: int | None = None
    """Analysis window of the generator's spectrogram, in samples. Default: 1024 at 22,050 Hz, and
    about as many seconds at other rates."""

    cgan_hop_length: int | None = None
    """Step of the generator's spectrogram, in samples. Default: a quarter of `cgan_n_fft`."""

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

    clips_per_shard: int | None = None
    """Rows of a Parquet file, which a task holds in memory. Default: 64 clips of 4 seconds, and as
    many bytes of others."""

    max_quarantined_fraction: float = 0.05
    """Fraction of rejected clips above which the job stops without a dataset. One rejected clip is
    always allowed unless this is 0."""

    seed: int = 0
    """Seed of all random choices."""

    def __post_init__(self) -> None:
        EmbeddingSettings.__post_init__(self)
        check_choices(self)
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"`validation_fraction={self.validation_fraction}` must be between 0 and 1"
            )
        check_quarantined_fraction(self.max_quarantined_fraction)
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
        for name in ("clips_per_shard", "max_windows_per_file"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}={value}` must be 1 or more")
        if self.recording_pattern is not None:
            check_pattern(self.recording_pattern)
        self._check_tables()
        self._check_windows()
        _ = self.views  # checks its own settings

    def _check_tables(self) -> None:
        if not self.label_separator:
            raise ValueError("`label_separator=` must not be empty: give the character, such as ,")
        columns = [name for name in COLUMN_SETTINGS.values() if getattr(self, name) is not None]
        columns += ["label_separator"] * (self.label_separator != ";")
        if columns and self.metadata is None and self.annotations is None:
            raise ValueError(
                f"`{columns[0]}` needs `metadata` or `annotations`, the table that it applies to"
            )
        if self.metadata is not None and self.annotations is not None:
            raise ValueError(
                "`metadata` and `annotations` both list the clips: give one of them, with a column "
                "recording, fold or split in the CSV of the annotations if needed"
            )

    def _check_windows(self) -> None:
        if self.windows == "first":
            for name in ("window_hop", "max_windows_per_file"):
                if getattr(self, name) is not None:
                    raise ValueError(f"`{name}` needs `windows=all` or `windows=loudest`")
        if self.window_hop is not None and not 0.01 <= self.window_hop <= 600:
            raise ValueError(f"`window_hop={self.window_hop:g}` must be from 0.01 to 600 seconds")
        if self.windows == "loudest" and self.window_config.hop_s > self.duration:
            raise ValueError(
                f"`window_hop={self.window_hop:g}` must be at most `duration={self.duration:g}` "
                "with `windows=loudest`: a longer step would skip sound"
            )

    @property
    def clip(self) -> ClipConfig:
        """Format of the clips."""
        with _renamed({"sample_rate_hz": "sample_rate", "duration_s": "duration"}):
            return ClipConfig(sample_rate_hz=self.sample_rate, duration_s=self.duration)

    @property
    def views(self) -> dict[str, SpectrogramConfig]:
        """Spectrograms of each clip, by name."""
        views = {}
        for name, recipe in RECIPE_VIEWS.items():
            with _renamed(_VIEW_FIELDS | {field: f"{name}_{field}" for field in _FFT_FIELDS}):
                views[name] = make_view(
                    recipe,
                    self.clip,
                    num_mels=self.num_mels,
                    min_frequency_hz=self.min_frequency,
                    max_frequency_hz=self.max_frequency,
                    n_fft=getattr(self, f"{name}_n_fft"),
                    hop_length=getattr(self, f"{name}_hop_length"),
                )
        return views

    @property
    def window_config(self) -> WindowConfig:
        """Windows of each file, with the defaults resolved."""
        return choose_windows(
            self.windows, self.duration, self.window_hop, self.max_windows_per_file
        )

    @property
    def effective_clips_per_shard(self) -> int:
        """Rows of a Parquet file, with the default resolved."""
        if self.clips_per_shard is not None:
            return self.clips_per_shard
        num_bytes = sum(view.num_mels * view.num_frames * 2 for view in self.views.values())
        return max(1, _SHARD_BYTES // num_bytes)


_SHARD_BYTES = 64 * 128 * (173 + 512) * 2
"""Size of a shard's spectrograms in memory: 64 clips with the default settings."""

COLUMN_SETTINGS = {
    "file": "path_column",
    "label": "label_column",
    "recording": "recording_column",
    "fold": "fold_column",
    "split": "split_column",
}
"""Settings that name the user's columns, by the role of the column."""

_VIEW_FIELDS = {
    "sample_rate_hz": "sample_rate",
    "duration_s": "duration",
    "min_frequency_hz": "min_frequency",
    "max_frequency_hz": "max_frequency",
}
"""Fields of clips and views, and the settings that set them."""

_FFT_FIELDS = ("n_fft", "hop_length")
"""Fields of views that have a setting for each view."""


@contextmanager
def _renamed(settings: Mapping[str, str]) -> Iterator[None]:
    """Name the user's settings in an error, instead of the fields that they set."""
    try:
        yield
    except ValueError as error:
        text = re.sub(r"(?<=`)\w+", lambda name: settings.get(name[0], name[0]), str(error))
        raise ValueError(text) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig(DatasetSettings):
    """Turn a folder of labeled clips into a sharded spectrogram dataset."""

    dataset_dir: str
    """Folder to write the dataset to."""

    audio_dir: str | None = None
    """Folder with one folder of clips per class, at any depth, or with the clips that `metadata`
    or `annotations` list. Known data sets are recognized as they were downloaded."""

    overwrite: bool = False
    """Replace a dataset that was made with other settings or other clips."""

    append: bool = False
    """Add the new clips of the folder to a finished dataset, whose shards and splits stay as they
    are."""

    verify: bool = False
    """Only check the existing dataset, and name every shard that is corrupt or missing."""

    def __post_init__(self) -> None:
        DatasetSettings.__post_init__(self)
        if self.audio_dir is None and not self.verify:
            raise ValueError("`audio_dir` is missing: it is needed unless `verify=True`")
        if self.append and self.overwrite:
            raise ValueError("`append` keeps a dataset, and `overwrite` replaces it: choose one")

    @property
    def requirements(self) -> Requirements:
        """Requirements of the job on the cluster and the storage."""
        if self.verify:
            return Requirements(reads={"dataset_dir": self.dataset_dir})
        reads = {
            "audio_dir": self.audio_dir,
            "metadata": self.metadata,
            "annotations": self.annotations,
            "test_dir": self.test_dir,
            "embedding": self.embedding,
        }
        return Requirements(reads=reads, writes={"dataset_dir": self.dataset_dir})
