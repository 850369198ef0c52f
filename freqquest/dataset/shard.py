"""One shard: decode its clips, compute views and vectors, write one Parquet file.

No Ray: a Ray Data task, a test and a notebook run the same function.
"""

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.audio.augment import AugmentationName, augment_waveform
from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.dataset.collected_vectors import CollectedVectors
from freqquest.dataset.collected_view import CollectedView
from freqquest.dataset.load_clip import open_clips
from freqquest.dataset.manifest import (
    EMBEDDING_COLUMN,
    LABEL_SEPARATOR,
    NOT_AUGMENTED,
    ROW_COLUMNS,
    Shard,
    sha256,
)
from freqquest.embedding.config import EmbeddingConfig
from freqquest.errors import UserError
from freqquest.storage import Location

_SHARD_VERSION = 4
"""Version of the shards' format; part of every plan's hash."""

_TYPES = {
    **dict.fromkeys(ROW_COLUMNS, pa.string()),
    **dict.fromkeys(("class_index", "fold"), pa.int64()),
    **dict.fromkeys(("start_s", "end_s"), pa.float64()),
    "class_indices": pa.list_(pa.int64()),
}
"""Types of the columns before the spectrograms."""

_FOOTER_KEY = b"freqquest"
"""Key of the ShardStatistics in a Parquet footer, for runs that resume an interrupted one."""

_FOOTER_HASH_KEY = b"freqquest_sha256"
"""Key of their hash: Parquet's own checksums do not cover the footer."""


class PlannedClip(TypedDict):
    """A row of the table of clips, and which copy of the clip to make."""

    clip_id: str
    path: str
    start_s: float
    end_s: float | None
    label: str | None
    recording: str
    fold: int | None
    split: str
    num_bytes: int
    modified_ns: int
    class_index: int
    """The rarest of its labels; -1 for unlabeled clips."""
    class_indices: list[int]
    """All of its labels."""
    copy: int
    """0 for the clip itself."""


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """Contents of one shard."""

    split: str
    name: str

    seed: int
    """Seed of the augmented copies."""

    augmentations: tuple[AugmentationName, ...]
    """Augmentations of the copies."""

    clip: ClipConfig
    """Format of the waveforms."""

    views: dict[str, SpectrogramConfig]
    """Spectrograms of each clip, by name."""

    clips: list[PlannedClip]
    """Clips and copies, one per row."""

    background_label: str | None = None
    """Class whose clips are windows of whole files, so that they leave out nothing."""

    embedding: EmbeddingConfig | None = None
    """Pretrained network whose vectors the clips get, if there is one."""

    @property
    def path(self) -> str:
        """Path relative to the dataset's folder."""
        return f"{self.split}/{self.name}"

    @cached_property
    def sha256(self) -> str:
        """Hash that is equal for two plans whose shards have the same bytes."""
        content = [
            _SHARD_VERSION,
            self.split,
            self.seed,
            self.augmentations,
            self.clips,
            repr(self.clip),
            repr(self.views),
        ]
        if self.embedding is not None:
            content.append(self.embedding.identity)
        return sha256(json.dumps(content).encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardStatistics:
    """Statistics of a shard's clips. Stored as JSON in the shard's footer."""

    plan_sha256: str
    """Hash of the plan that made the shard."""

    quarantined: list[dict[str, str]]
    """`clip_id`, `path` and `reason` of each rejected clip."""

    warnings: list[dict[str, str]]
    """`clip_id` and `warning` of each clip that was kept but may be useless."""

    moments: dict[str, list[list[float]]]
    """Count, sum and sum of squares by mel band, `[3, M]`, of each view."""

    seconds: dict[str, float]
    """Duration of the clips' sound by label, without copies."""

    num_padded: int
    """Number of clips with more padding than sound, without copies."""

    num_cut: int
    """Number of clips whose file, or annotated sound, goes on after them, without copies."""

    sample_rates: dict[str, int]
    """Number of clips by sample rate of their file in Hz, without copies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenShard:
    """A shard on disk."""

    statistics: ShardStatistics

    entry: Shard | None
    """Entry in the manifest; None if no clip was readable, so that there is no file."""


def write_shard(plan: ShardPlan, dataset: Location) -> WrittenShard:
    """Decode a shard's clips, compute their views and vectors, and write them.

    Rejected clips are listed in the statistics. A finished shard of an interrupted run is kept,
    unless it lacks clips: they may be readable now.
    """
    path = dataset / plan.path
    finished = _load_finished(plan, path)
    if finished is not None:
        return finished
    table, statistics = _make_table(plan, dataset)
    if table.num_rows == 0:
        path.remove_file()
        return WrittenShard(statistics=statistics, entry=None)
    content = _encode(table)
    path.write_bytes(content)
    return WrittenShard(statistics=statistics, entry=_entry(plan, table.num_rows, content))


def _encode(table: pa.Table) -> memoryview:
    """Encode a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    # Spectrograms hardly compress, and decompression would cost readers more than the disk does.
    pq.write_table(
        table,
        sink,
        compression="none",
        use_dictionary=[name for name, kind in _TYPES.items() if kind == pa.string()],
        write_page_checksum=True,
        write_statistics=False,
    )
    return memoryview(sink.getvalue())


def _load_finished(plan: ShardPlan, path: Location) -> WrittenShard | None:
    """Return the shard if it exists, is intact, and was made by this plan."""
    if not path.is_file():
        return None
    content = memoryview(path.read_bytes())
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        footer = file.schema_arrow.metadata
        statistics = ShardStatistics(**json.loads(footer[_FOOTER_KEY]))
        is_intact = sha256(footer[_FOOTER_KEY]) == footer[_FOOTER_HASH_KEY].decode()
        if not is_intact or statistics.plan_sha256 != plan.sha256 or statistics.quarantined:
            return None
        num_rows = file.read().num_rows
    except Exception:  # a damaged file may raise any
        return None  # corrupt, or not ours: it is made again
    return WrittenShard(statistics=statistics, entry=_entry(plan, num_rows, content))


def read_written(dataset: Location, shard: Shard) -> WrittenShard:
    """Return a shard of a finished dataset, of which only the footer is read.

    Raises:
        UserError: The shard is missing or damaged, or of an earlier format.
    """
    try:
        with (dataset / shard.path).open() as stream:
            footer = pq.read_schema(stream).metadata
        statistics = ShardStatistics(**json.loads(footer[_FOOTER_KEY]))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{dataset / shard.path} is missing, damaged, or of an earlier format ({error}): run "
            "the preprocess job that made it again, or make a new dataset"
        ) from error
    return WrittenShard(statistics=statistics, entry=shard)


def _entry(plan: ShardPlan, num_rows: int, content: memoryview) -> Shard:
    return Shard(
        split=plan.split,
        name=plan.name,
        num_rows=num_rows,
        num_bytes=len(content),
        sha256=sha256(content),
    )


def _make_table(plan: ShardPlan, dataset: Location) -> tuple[pa.Table, ShardStatistics]:
    kept: list[PlannedClip] = []
    quarantined, warnings, num_cut, num_padded = [], [], 0, 0
    seconds: defaultdict[str, float] = defaultdict(float)
    sample_rates: Counter[str] = Counter()
    views = {
        name: CollectedView(view, plan.clip, len(plan.clips)) for name, view in plan.views.items()
    }
    columns: dict[str, CollectedView | CollectedVectors] = dict(views)
    if plan.embedding is not None:
        columns[EMBEDDING_COLUMN] = CollectedVectors(plan.embedding, dataset, plan.clip)
    places = [(clip["path"], (clip["start_s"], clip["end_s"])) for clip in plan.clips]
    for clip, audio in zip(plan.clips, open_clips(places, plan.clip), strict=True):
        if isinstance(audio, str):
            names = {"clip_id": clip["clip_id"], "path": clip["path"]}
            quarantined.append(names | {"reason": audio})
            continue
        waveform = _waveform(audio, clip, plan)
        for column in columns.values():
            column.add(waveform)
        kept.append(clip)
        if clip["copy"] > 0:
            continue
        until_s = audio.duration_s if clip["end_s"] is None else clip["end_s"]
        remaining_s = until_s - clip["start_s"]
        num_padded += remaining_s < plan.clip.duration_s / 2
        if clip["label"] != plan.background_label or clip["label"] is None:
            num_cut += remaining_s > plan.clip.duration_s + 0.01
        for label in (clip["label"] or "").split(LABEL_SEPARATOR):
            seconds[label] += min(remaining_s, plan.clip.duration_s)
        sample_rates[str(audio.sample_rate_hz)] += 1
        if audio.warning:
            warnings.append({"clip_id": clip["clip_id"], "warning": audio.warning})
    statistics = ShardStatistics(
        plan_sha256=plan.sha256,
        quarantined=quarantined,
        warnings=warnings,
        moments={name: view.moments.tolist() for name, view in views.items()},
        seconds=dict(seconds),
        num_padded=num_padded,
        num_cut=num_cut,
        sample_rates=dict(sample_rates),
    )
    return _to_table(kept, columns, plan, statistics), statistics


def _waveform(audio: Clip, clip: PlannedClip, plan: ShardPlan) -> np.ndarray:
    """Return a clip, or its augmented copy, which is the same on every machine."""
    if clip["copy"] == 0:
        return audio.waveform
    seed = [plan.seed, zlib.crc32(clip["clip_id"].encode()), clip["copy"]]
    return augment_waveform(audio.waveform, plan.clip.sample_rate_hz, plan.augmentations, seed)


def _to_table(
    clips: list[PlannedClip],
    arrays: Mapping[str, CollectedView | CollectedVectors],
    plan: ShardPlan,
    statistics: ShardStatistics,
) -> pa.Table:
    augmented = f"{' '.join(plan.augmentations)}, copy "
    rows = [
        {**clip, "augmentation": f"{augmented}{clip['copy']}" if clip["copy"] else NOT_AUGMENTED}
        for clip in clips
    ]
    columns = {name: pa.array([row[name] for row in rows], _TYPES[name]) for name in ROW_COLUMNS}
    tensors = {name: array.to_arrow() for name, array in arrays.items()} if rows else {}
    footer = json.dumps(asdict(statistics)).encode()
    return pa.table(columns | tensors).replace_schema_metadata(
        {_FOOTER_KEY: footer, _FOOTER_HASH_KEY: sha256(footer)}
    )
