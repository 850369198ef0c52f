"""The Python API of datasets: open one, look at its clips, read its splits.

pyarrow and pandas; no Ray. Shapes: M mel bands, T frames, D values of a vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from freqquest.dataset.manifest import ROW_COLUMNS, SPLITS, Manifest, load_manifest
from freqquest.dataset.read import (
    ClipArrays,
    SplitReader,
    read_rows,
    read_table,
    to_array,
    vector_columns,
    vectors_in,
)
from freqquest.dataset.verify import verify_shards
from freqquest.dataset.views import ViewName
from freqquest.errors import UserError
from freqquest.storage import Location, locate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DatasetClip:
    """One clip of a dataset."""

    spectrogram: np.ndarray
    """Log-mel spectrogram `[M, T]`, float16, of the split's view."""

    clip_id: str
    """Path of the file, relative to the folder of clips; for a part of a file, followed by `#` and
    its start in seconds."""

    path: str
    """Path or URI of the file when the dataset was made."""

    start_s: float
    """Start of the clip in the file, in seconds."""

    end_s: float | None
    """End of the clip in the file, in seconds; None if only the clip's length or the file ends
    it."""

    label: str | None
    """Class name, or several joined by `;`; None for an unlabeled clip."""

    class_index: int
    """Index of the label in `Dataset.classes`, or of the rarest of several; -1 for an unlabeled
    clip."""

    class_indices: list[int]
    """Indices of all labels."""

    recording: str
    """Recording that the clip was cut from; `clip_id` if it is unknown."""

    fold: int | None
    """Fold of the metadata, if there is one."""

    split: str
    """Name of the split."""

    augmentation: str
    """"none", or the augmentations of a copy and its number."""

    vector: np.ndarray | None = None
    """Vector of the dataset's pretrained network, `[D]`, float32, with the view `cnn`; None without
    one."""


class Dataset:
    """A dataset of labeled spectrograms, made by the preprocess stage.

    Example:
        dataset = Dataset.open("data/clips")
        for clip in dataset.split("train", view="cnn"):
            print(clip.label, clip.spectrogram.shape)
    """

    def __init__(self, location: Location, manifest: Manifest) -> None:
        """Wrap a dataset whose manifest is loaded; use `open` for a path."""
        self.location = location
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the dataset in a folder, given as a path or URI.

        Raises:
            UserError: There is no dataset, or it is corrupt or of an unknown format version.
        """
        location = locate(path)
        return cls(location, load_manifest(location))

    def __repr__(self) -> str:
        """Return the path and the number of rows in each split."""
        num_rows = ", ".join(f"{count} {split}" for split, count in self.manifest.num_rows.items())
        return f"Dataset({str(self.location)!r}: {num_rows})"

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of `class_index`."""
        return self.manifest.classes

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per clip of all splits, without the spectrograms.

        Raises:
            UserError: A shard is missing or cannot be read.
        """
        return read_rows(self.location, self.manifest)

    def verify(self) -> None:
        """Read every shard and compare its hash.

        Raises:
            UserError: Shards are missing or corrupt; the text names all of them.
        """
        verify_shards(self.location, self.manifest)

    def split(self, name: str, view: ViewName = "cnn") -> "DatasetSplit":
        """Return a split: "train", "validation" or "test".

        Args:
            name: Name of the split.
            view: Spectrograms to read: the classifier's ("cnn") or the generator's ("cgan").

        Raises:
            UserError: The split or the view does not exist, or the split is empty.
        """
        if name not in SPLITS:
            raise UserError(f"`name={name}` must be one of: {', '.join(SPLITS)}")
        if view not in self.manifest.views:
            raise UserError(f"`view={view}` must be one of: {', '.join(self.manifest.views)}")
        return DatasetSplit(self.location, self.manifest, name, view)


class DatasetSplit:
    """One split of a dataset in one view. Iteration yields its clips and reads shard by shard.

    Example:
        train = Dataset.open("data/clips").split("train", view="cnn")
        for batch in train.batches(32, seed=0, epoch=0):
            print(batch.spectrograms.shape, batch.class_indices)
    """

    def __init__(self, dataset: Location, manifest: Manifest, name: str, view: ViewName) -> None:
        """Prepare to read; no file is opened yet.

        Raises:
            UserError: The split is empty.
        """
        self._dataset, self._manifest, self._view = dataset, manifest, view
        self._reader = SplitReader(dataset, manifest, name, view)
        self.name = name

    def __len__(self) -> int:
        """Return the number of clips, including augmented copies."""
        return len(self._reader)

    def __iter__(self) -> Iterator[DatasetClip]:
        """Yield the clips in the order of `to_pandas`; one shard is in memory at a time.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        for shard in self._manifest.shards:
            if shard.split == self.name:
                columns = [*ROW_COLUMNS, self._view, *vector_columns(self._manifest, self._view)]
                table = read_table(self._dataset, shard, columns)
                rows = table.select(list(ROW_COLUMNS)).to_pylist()
                spectrograms = to_array(table[self._view], self._manifest.views[self._view])
                vectors = vectors_in(table)
                for number, row in enumerate(rows):
                    vector = None if vectors is None else vectors[number]
                    yield DatasetClip(spectrogram=spectrograms[number], vector=vector, **row)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per clip, without the spectrograms.

        Raises:
            UserError: A shard is missing or cannot be read.
        """
        return read_rows(self._dataset, self._manifest, self.name)

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[ClipArrays]:
        """Yield one epoch of shuffled batches. A split smaller than a batch repeats clips.

        Args:
            batch_size: Batch size, over all processes.
            seed: Seed of the order.
            epoch: Number of the epoch; each has its own order.
            rank: Number of this process, of several that train together.
            world_size: Number of processes. Their batches together are the same for any number.

        Raises:
            UserError: `batch_size`, `rank` or `world_size` is out of range, or a shard is missing
                or corrupt.
        """
        if batch_size < 1:
            raise UserError(f"`batch_size={batch_size}` must be 1 or more")
        if not 1 <= world_size <= batch_size:
            raise UserError(
                f"`world_size={world_size}` must be from 1 to {batch_size}, the clips of a batch: "
                "each process needs one"
            )
        if not 0 <= rank < world_size:
            raise UserError(f"`rank={rank}` must be from 0 to {world_size - 1}")
        return self._reader.batches(
            batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
        )
