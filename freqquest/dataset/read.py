"""Read a dataset's splits as arrays.

pyarrow only. Shapes: N clips, M mel bands, T frames.
"""

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.dataset.config import ViewName
from freqquest.dataset.manifest import Manifest, Shard, sha256
from freqquest.errors import UserError
from freqquest.runs.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitArrays:
    """One split's clips in one view."""

    spectrograms: np.ndarray
    """`[N, M, T]`, float16."""
    class_indices: np.ndarray
    """`[N]`, int64; -1 for unlabelled clips."""
    clip_ids: list[str]
    recordings: list[str]


def read_split(dataset: Location, manifest: Manifest, split: str, view: ViewName) -> SplitArrays:
    """Load a split whole, in the order of its shards, checking each shard's hash.

    Raises:
        UserError: The split is empty, or a shard is missing or damaged.
    """
    shards = [shard for shard in manifest.shards if shard.split == split]
    if not shards:
        raise UserError(f"{dataset} has no clips in its split {split}")
    columns = [view, "class_index", "clip_id", "recording"]
    table = pa.concat_tables(_read_shard(dataset, shard, columns) for shard in shards)
    spectrograms = np.concatenate([chunk.to_numpy_ndarray() for chunk in table[view].chunks])
    return SplitArrays(
        spectrograms=spectrograms,
        class_indices=table["class_index"].to_numpy(),
        clip_ids=table["clip_id"].to_pylist(),
        recordings=table["recording"].to_pylist(),
    )


def epoch_order(num_clips: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of the clips `[N]` given by (seed, epoch) alone, whatever the number of workers."""
    return np.random.default_rng([seed, epoch]).permutation(num_clips)


def _read_shard(dataset: Location, shard: Shard, columns: list[str]) -> pa.Table:
    place = dataset / shard.split / shard.name
    if not place.is_file():
        raise UserError(f"{place} is missing: preprocess again with --overwrite")
    content = place.read_bytes()
    if sha256(content) != shard.sha256:
        raise UserError(f"{place} is damaged (its SHA-256 is not the manifest's): preprocess again with --overwrite")
    return pq.read_table(io.BytesIO(content), columns=columns)
