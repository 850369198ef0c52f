"""Read a dataset's splits as arrays, whole or as a stream of shuffled batches.

pyarrow and pandas. Shapes: N clips, M mel bands, T frames, D values of a vector, K classes.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.dataset.manifest import EMBEDDING_COLUMN, ROW_COLUMNS, Manifest, Shard
from freqquest.dataset.order import batch_rows
from freqquest.dataset.verify import read_verified
from freqquest.dataset.views import ViewName
from freqquest.errors import UserError
from freqquest.storage import Location

_MAX_EXAMPLE_SHARDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipArrays:
    """Clips of one split in one view."""

    spectrograms: np.ndarray
    """`[N, M, T]`, float16."""

    class_indices: np.ndarray
    """`[N]`, int64: the class, or the rarest of several; -1 for unlabeled clips."""

    labels: np.ndarray
    """`[N, K]`, bool: all labels of each clip, of K classes."""

    clip_ids: list[str]
    recordings: list[str]

    vectors: np.ndarray | None = None
    """`[N, D]`, float32: vectors of a pretrained network, if there is one and the view is `cnn`."""


def read_rows(dataset: Location, manifest: Manifest, split: str | None = None) -> pd.DataFrame:
    """Return all columns but spectrograms and vectors: a row per clip, in the order of the shards.

    Without a split, return all of them in the order train, validation, test. Where a background is
    skipped, its clips and the numbers of the classes are left out.

    Raises:
        UserError: The split is empty, or a shard is missing or cannot be read. The hashes, which
            need the whole files, are not checked.
    """
    rows: pd.DataFrame = read_row_table(dataset, manifest, split).to_pandas()
    if manifest.skipped_index is None:
        return rows
    is_kept = rows["class_indices"].map(lambda indices: list(indices) != [manifest.skipped_index])
    return rows[is_kept].drop(columns=["class_index", "class_indices"])


def read_row_table(dataset: Location, manifest: Manifest, split: str | None = None) -> pa.Table:
    """Return the table of `read_rows` for Arrow, with the clips of a background.

    Raises:
        UserError: As `read_rows`.
    """
    shards = manifest.shards if split is None else shards_of(manifest, split, dataset)
    return pa.concat_tables([_read_row_columns(dataset, shard) for shard in shards])


def without_background(dataset: Location, manifest: Manifest) -> Manifest:
    """Return a manifest whose readers skip the clips of the background, and its class.

    Raises:
        UserError: A shard is missing or cannot be read.
    """
    if manifest.background_label is None:
        return manifest
    index = manifest.classes.index(manifest.background_label)
    shards = []
    for shard in manifest.shards:
        clips = _read_row_columns(dataset, shard)["class_indices"].to_pylist()
        shards.append(replace(shard, num_rows=len(clips) - clips.count([index])))
    num_rows = {
        split: sum(shard.num_rows for shard in shards if shard.split == split)
        for split in manifest.num_rows
    }
    return replace(manifest, classes=manifest.sound_classes, shards=shards, num_rows=num_rows)


def _read_row_columns(dataset: Location, shard: Shard) -> pa.Table:
    try:
        with (dataset / shard.path).open() as stream:
            return read_columns(stream, list(ROW_COLUMNS))
    except (OSError, pa.ArrowException):
        read_verified(dataset, shard)  # says so if the shard is missing or corrupt
        raise


def read_shard(
    dataset: Location, manifest: Manifest, shard: Shard, view: ViewName, *, verify: bool = True
) -> ClipArrays:
    """Load one shard. Its hash need not be verified more than once.

    Raises:
        UserError: The shard is missing or corrupt.
    """
    columns = [view, "class_index", "class_indices", "clip_id", "recording"]
    columns += vector_columns(manifest, view)
    table, skipped = read_table(dataset, shard, columns, verify=verify), manifest.skipped_index
    clips = ClipArrays(
        spectrograms=to_array(table[view], manifest.views[view]),
        class_indices=table["class_index"].to_numpy(),
        labels=label_matrix(table["class_indices"], len(manifest.classes) + (skipped is not None)),
        clip_ids=table["clip_id"].to_pylist(),
        recordings=table["recording"].to_pylist(),
        vectors=vectors_in(table),
    )
    return clips if skipped is None else _without_class(clips, skipped)


def _without_class(clips: ClipArrays, index: int) -> ClipArrays:
    """Leave out a class, and the clips that have no other label."""
    labels = np.delete(clips.labels, index, axis=1)
    rows = np.flatnonzero(labels.any(axis=1) | (clips.class_indices < 0))
    indices = clips.class_indices[rows] - (clips.class_indices[rows] > index)
    # The rarest of several labels may be the class itself.
    is_class = clips.class_indices[rows] == index
    return ClipArrays(
        spectrograms=clips.spectrograms[rows],
        class_indices=np.where(is_class, labels[rows].argmax(axis=1), indices),
        labels=labels[rows],
        clip_ids=[clips.clip_ids[row] for row in rows],
        recordings=[clips.recordings[row] for row in rows],
        vectors=None if clips.vectors is None else clips.vectors[rows],
    )


def label_matrix(class_indices: pa.ChunkedArray, num_classes: int) -> np.ndarray:
    """Convert a column of lists of class indices to `[N, K]`, bool."""
    matrix = np.zeros((len(class_indices), num_classes), bool)
    rows = pc.list_parent_indices(class_indices).to_numpy()
    matrix[rows, pc.list_flatten(class_indices).to_numpy()] = True
    return matrix


def read_table(
    dataset: Location, shard: Shard, columns: list[str], *, verify: bool = True
) -> pa.Table:
    """Load some columns of one shard.

    Raises:
        UserError: The shard is missing or corrupt.
    """
    if verify:
        return read_columns(io.BytesIO(read_verified(dataset, shard)), columns)
    with (dataset / shard.path).open() as stream:
        return read_columns(stream, columns)


def read_columns(stream: io.BufferedReader | io.BytesIO, columns: list[str]) -> pa.Table:
    """Load some columns of the file of a shard."""
    file = pq.ParquetFile(stream)
    if "class_indices" in file.schema_arrow.names:
        return file.read(columns, use_threads=False)
    table = file.read([*columns, "class_index"], use_threads=False)
    return _with_columns_of_version_4(table).select(columns)


def _with_columns_of_version_4(table: pa.Table) -> pa.Table:
    """Return a table of version 3 with the columns that it lacks."""
    count = table.num_rows
    indices = [[] if index < 0 else [index] for index in table["class_index"].to_pylist()]
    return (
        table.append_column("start_s", pa.array(np.zeros(count)))
        .append_column("end_s", pa.nulls(count, pa.float64()))
        .append_column("class_indices", pa.array(indices, pa.list_(pa.int64())))
    )


def to_array(spectrograms: pa.ChunkedArray, view: SpectrogramConfig) -> np.ndarray:
    """Convert a column of spectrograms to `[N, M, T]`, with the frames of zeros behind the clips.

    Datasets of earlier versions store these too.
    """
    stored = np.concatenate([chunk.to_numpy_ndarray() for chunk in spectrograms.chunks])
    num_silent = view.num_frames - stored.shape[2]
    return np.pad(stored, ((0, 0), (0, 0), (0, num_silent))) if num_silent else stored


def vector_columns(manifest: Manifest, view: ViewName) -> list[str]:
    """Return the column of vectors that is read with a view, if there is one."""
    return [EMBEDDING_COLUMN] if view == "cnn" and manifest.embedding is not None else []


def vectors_in(table: pa.Table) -> np.ndarray | None:
    """Return a table's vectors, `[N, D]`; None if it has none."""
    if EMBEDDING_COLUMN not in table.column_names:
        return None
    return np.reshape(pc.list_flatten(table[EMBEDDING_COLUMN]), (table.num_rows, -1))


def example_of_each_class(
    dataset: Location, manifest: Manifest, view: ViewName
) -> dict[str, np.ndarray]:
    """Return a training clip of each class, `[M, T]`, float32.

    Classes that are not in the first shards are left out.

    Raises:
        UserError: A shard is missing or corrupt.
    """
    examples: dict[str, np.ndarray] = {}
    train_shards = [shard for shard in manifest.shards if shard.split == "train"]
    for shard in train_shards[:_MAX_EXAMPLE_SHARDS]:
        if len(examples) == len(manifest.classes):
            break
        clips = read_shard(dataset, manifest, shard, view)
        for class_index, spectrogram in zip(clips.class_indices, clips.spectrograms, strict=True):
            examples.setdefault(manifest.classes[class_index], spectrogram.astype(np.float32))
    return {label: examples[label] for label in manifest.classes if label in examples}


class SplitReader:
    """A stream of a split that may be larger than memory, in the order of `dataset.order`.

    A process holds about one shard per clip of its part of a batch.
    """

    def __init__(self, dataset: Location, manifest: Manifest, split: str, view: ViewName) -> None:
        """Prepare to read; no file is opened yet.

        Raises:
            UserError: The split is empty.
        """
        self._dataset, self._manifest, self._view = dataset, manifest, view
        self._shards = shards_of(manifest, split, dataset)
        self._sizes = [shard.num_rows for shard in self._shards]
        self._ends = np.cumsum(self._sizes)
        self._verified: set[int] = set()

    def __len__(self) -> int:
        """Return the number of clips."""
        return int(self._ends[-1])

    def shards(self) -> Iterator[ClipArrays]:
        """Yield the whole split, one shard at a time.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        return map(self._read, range(len(self._shards)))

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[ClipArrays]:
        """Yield one epoch's batches of spectrograms; `order.batch_rows` explains the arguments.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        loaded: dict[int, ClipArrays] = {}
        for rows in self.rows(batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size):
            shard_indices = np.searchsorted(self._ends, rows, side="right").tolist()
            loaded = {index: loaded.get(index) or self._read(index) for index in shard_indices}
            clips = [
                (loaded[index], row - (self._ends[index] - self._sizes[index]))
                for index, row in zip(shard_indices, rows, strict=True)
            ]
            vectors = [shard.vectors[row] for shard, row in clips if shard.vectors is not None]
            yield ClipArrays(
                spectrograms=np.stack([shard.spectrograms[row] for shard, row in clips]),
                class_indices=np.array([shard.class_indices[row] for shard, row in clips]),
                labels=np.stack([shard.labels[row] for shard, row in clips]),
                clip_ids=[shard.clip_ids[row] for shard, row in clips],
                recordings=[shard.recordings[row] for shard, row in clips],
                vectors=np.stack(vectors) if vectors else None,
            )

    def rows(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[np.ndarray]:
        """Yield the same batches as row numbers of the split, for clips that are in memory."""
        return batch_rows(
            self._sizes, batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
        )

    def _read(self, index: int) -> ClipArrays:
        """Load a shard, and verify it the first time."""
        arrays = read_shard(
            self._dataset,
            self._manifest,
            self._shards[index],
            self._view,
            verify=index not in self._verified,
        )
        self._verified.add(index)
        return arrays


def shards_of(manifest: Manifest, split: str, dataset: Location) -> list[Shard]:
    """Return the shards of a split that have clips.

    Raises:
        UserError: There are none.
    """
    shards = [shard for shard in manifest.shards if shard.split == split and shard.num_rows]
    if not shards:
        raise UserError(f"{dataset} has no clips in the split {split}")
    return shards
