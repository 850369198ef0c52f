"""Read a dataset's splits as arrays, whole or as a stream of shuffled batches; verify its shards.

pyarrow and pandas. Shapes: N clips, B clips of a batch, M mel bands, T frames.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.dataset.config import ViewName
from freqquest.dataset.manifest import Manifest, Shard, load_manifest, sha256
from freqquest.dataset.order import batch_rows
from freqquest.errors import UserError
from freqquest.storage import Location, locate

_MOST_SHARDS_FOR_EXAMPLES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitArrays:
    """Clips of one split in one view."""

    spectrograms: np.ndarray
    """`[N, M, T]`, float16."""
    class_indices: np.ndarray
    """`[N]`, int64; -1 for unlabeled clips."""
    clip_ids: list[str]
    recordings: list[str]


def read_split(dataset: Location, manifest: Manifest, split: str, view: ViewName) -> SplitArrays:
    """Load a split whole, in the order of its shards, checking each shard's hash.

    Raises:
        UserError: The split is empty, or a shard is missing or damaged.
    """
    parts = [read_shard(dataset, shard, view) for shard in _shards_of(manifest, split, dataset)]
    return SplitArrays(
        spectrograms=np.concatenate([part.spectrograms for part in parts]),
        class_indices=np.concatenate([part.class_indices for part in parts]),
        clip_ids=[clip_id for part in parts for clip_id in part.clip_ids],
        recordings=[recording for part in parts for recording in part.recordings],
    )


def read_rows(dataset: Location, manifest: Manifest, split: str) -> pd.DataFrame:
    """All that a split says of its clips, without the spectrograms: one row a clip, in `read_split`'s order.

    Raises:
        UserError: The split is empty.
    """
    tables = []
    for shard in _shards_of(manifest, split, dataset):
        with (dataset / shard.path).open() as stream:
            file = pq.ParquetFile(stream)
            tables.append(
                file.read([name for name in file.schema_arrow.names if name not in manifest.views])
            )
    return pa.concat_tables(tables).to_pandas()


def read_shard(dataset: Location, shard: Shard, view: ViewName, verify: bool = True) -> SplitArrays:
    """Load one shard; a hash that was verified once need not be again.

    Raises:
        UserError: The shard is missing or damaged.
    """
    columns = [view, "class_index", "clip_id", "recording"]
    if verify:
        table = _read_table(io.BytesIO(_verified_bytes(dataset, shard)), columns)
    else:
        with (dataset / shard.path).open() as stream:
            table = _read_table(stream, columns)
    return SplitArrays(
        spectrograms=np.concatenate([chunk.to_numpy_ndarray() for chunk in table[view].chunks]),
        class_indices=table["class_index"].to_numpy(),
        clip_ids=table["clip_id"].to_pylist(),
        recordings=table["recording"].to_pylist(),
    )


def example_of_each_class(
    dataset: Location, manifest: Manifest, view: ViewName
) -> dict[str, np.ndarray]:
    """A training clip of each class, as `[M, T]`, float32; classes that the first shards do not hold are left out.

    Raises:
        UserError: A shard is missing or damaged.
    """
    found: dict[str, np.ndarray] = {}
    for shard in [shard for shard in manifest.shards if shard.split == "train"][
        :_MOST_SHARDS_FOR_EXAMPLES
    ]:
        if len(found) < len(manifest.classes):
            arrays = read_shard(dataset, shard, view)
            for class_index, spectrogram in zip(
                arrays.class_indices, arrays.spectrograms, strict=True
            ):
                found.setdefault(manifest.classes[class_index], spectrogram.astype(np.float32))
    return {label: found[label] for label in manifest.classes if label in found}


class SplitReader:
    """Streams a split that may be larger than memory, in an order given by (seed, epoch) alone.

    The clips are shuffled by shard, and inside each shard, into one long row, which is cut into B stretches of equal
    length; step by step, a batch takes one clip of each stretch. Of W processes that train together, each reads B / W
    neighboring stretches, and so only its part of the shards; the batch of all together is the same for any W.
    A process holds about one shard for each of its stretches.
    """

    def __init__(self, dataset: Location, manifest: Manifest, split: str, view: ViewName) -> None:
        """Opens nothing yet.

        Raises:
            UserError: The split is empty.
        """
        self._dataset, self._view = dataset, view
        self._shards = _shards_of(manifest, split, dataset)
        self._ends = np.cumsum([shard.num_rows for shard in self._shards])
        self._verified: set[int] = set()

    def __len__(self) -> int:
        """Number of clips."""
        return int(self._ends[-1])

    def shards(self) -> Iterator[SplitArrays]:
        """The whole split, in `read_split`'s order, a shard at a time.

        Raises:
            UserError: A shard is missing or damaged.
        """
        return map(self._read, range(len(self._shards)))

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[SplitArrays]:
        """One epoch. Clips are repeated where they are fewer than a batch.

        Args:
            batch_size: B, of all processes together.
            seed: Of the order.
            epoch: Another number gives another order.
            rank: Which of the processes this is.
            world_size: W, how many there are.

        Yields:
            This process's part of each batch.

        Raises:
            UserError: A shard is missing or damaged.
        """
        loaded: dict[int, SplitArrays] = {}
        for rows in self.rows(batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size):
            places = np.searchsorted(self._ends, rows, side="right").tolist()
            loaded = {place: loaded.get(place) or self._read(place) for place in places}
            starts = [self._ends[place] - self._shards[place].num_rows for place in places]
            clips = [
                (loaded[place], row - start)
                for place, row, start in zip(places, rows, starts, strict=True)
            ]
            yield SplitArrays(
                spectrograms=np.stack([shard.spectrograms[row] for shard, row in clips]),
                class_indices=np.array([shard.class_indices[row] for shard, row in clips]),
                clip_ids=[shard.clip_ids[row] for shard, row in clips],
                recordings=[shard.recordings[row] for shard, row in clips],
            )

    def rows(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[np.ndarray]:
        """The same epoch as row numbers `[B / W]` of `read_split`, for clips that are all in memory.

        Args and order are those of `batches`.
        """
        sizes = [shard.num_rows for shard in self._shards]
        return batch_rows(
            sizes, batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
        )

    def _read(self, index: int) -> SplitArrays:
        """A shard, verified when it is read for the first time."""
        arrays = read_shard(
            self._dataset, self._shards[index], self._view, verify=index not in self._verified
        )
        self._verified.add(index)
        return arrays


def epoch_order(num_clips: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of the clips `[N]` given by (seed, epoch) alone, for clips that are all in memory."""
    return np.random.default_rng([seed, epoch]).permutation(num_clips)


def verify_dataset(dataset_dir: str) -> str:
    """Hash every shard again.

    Returns:
        What was verified, for people.

    Raises:
        UserError: Shards are missing or damaged: all of them are named.
    """
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)

    def problem(shard: Shard) -> str | None:
        try:
            _verified_bytes(dataset, shard)
        except (UserError, OSError) as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as threads:  # reading and hashing leave Python's lock
        problems = [found for found in threads.map(problem, manifest.shards) if found]
    if problems:
        raise UserError(
            "\n".join(
                [f"{len(problems)} of {len(manifest.shards)} shards are not whole:", *problems]
            )
        )
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    return f"{dataset}: {len(manifest.shards)} shards are whole ({num_bytes / 1e6:.0f} MB, SHA-256)"


def _read_table(stream: IO[bytes], columns: list[str]) -> pa.Table:
    return pq.ParquetFile(stream).read(columns, use_threads=False)


def _shards_of(manifest: Manifest, split: str, dataset: Location) -> list[Shard]:
    shards = [shard for shard in manifest.shards if shard.split == split]
    if not shards:
        raise UserError(f"{dataset} has no clips in its split {split}")
    return shards


def _verified_bytes(dataset: Location, shard: Shard) -> bytes:
    place = dataset / shard.path
    repair = "run the same jobs/preprocess.py command again: it makes what is missing"
    if not place.is_file():
        raise UserError(f"{place} is missing: {repair}")
    content = place.read_bytes()
    if sha256(content) != shard.sha256:
        raise UserError(
            f"{place} is damaged (its SHA-256 is not the manifest's): remove it and {repair}"
        )
    return content
