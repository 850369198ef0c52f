"""Make one shard: decode its clips, compute every view, write one Parquet file.

Knows nothing of Ray, so a Ray Data task, a test and a notebook run the same function. Shapes: N clips, M mel bands,
T frames.
"""

import json
import zlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.audio.augment import AugmentationName, vary
from freqquest.audio.decode import Clip, UnreadableClipError
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.dataset.config import CLIP, VIEWS
from freqquest.dataset.load_clip import load
from freqquest.dataset.manifest import FORMAT_VERSION, NOT_AUGMENTED, Shard, sha256
from freqquest.storage import Location

_TEXT_COLUMNS = ("clip_id", "path", "label", "recording", "split", "augmentation")
_COLUMN_ORDER = (
    "clip_id",
    "path",
    "label",
    "class_index",
    "recording",
    "fold",
    "split",
    "augmentation",
)

_FOOTER_KEY, _FOOTER_HASH_KEY = b"freqquest", b"freqquest_sha256"
"""Where a Parquet file's footer keeps the Account, so that an interrupted run can take up the shards it finished; and
its hash, as Parquet's own checksums leave out the footer."""


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """What goes into one shard."""

    split: str
    name: str
    seed: int
    """Of the varied copies."""
    augmentations: tuple[AugmentationName, ...]
    clips: list[dict[str, Any]]
    """Rows of the table of clips, with `class_index` (-1 for unlabeled clips) and `copy` (0 for the clip itself)."""

    @property
    def path(self) -> str:
        """Below the dataset's folder."""
        return f"{self.split}/{self.name}"

    @cached_property
    def sha256(self) -> str:
        """Equal for two plans whose shards would hold the same bytes."""
        content = [
            FORMAT_VERSION,
            self.split,
            self.seed,
            self.augmentations,
            self.clips,
            repr(CLIP),
            repr(VIEWS),
        ]
        return sha256(json.dumps(content).encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardStatistics:
    """What became of a plan's clips. Written as JSON into the shard's footer."""

    plan_sha256: str
    quarantined: list[dict[str, str]]
    """`path` and `reason` of each refused clip."""
    moments: dict[str, list[list[float]]]
    """Each view's count, sum and sum of squares by mel band: `[3, M]`."""
    seconds: dict[str, float]
    """Length of the audio files by label, without copies."""
    sample_rates: dict[str, int]
    """Number of audio files by rate in Hz, without copies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenShard:
    """A shard on disk."""

    account: ShardStatistics
    entry: Shard | None
    """None where no clip of the shard could be read, and so no file was written."""


def write_shard(plan: ShardPlan, dataset: Location) -> WrittenShard:
    """Decode, analyze and write; clips that cannot be read are set aside with the reason.

    A shard that an interrupted run has finished already is kept, unless it lacks clips: they may be readable now.
    """
    place = dataset / plan.path
    finished = _finished(plan, place)
    if finished is not None:
        return finished
    table, account = _make_table(plan)
    if table.num_rows == 0:
        place.remove_file()
        return WrittenShard(account=account, entry=None)
    content = _encode(table)
    place.write_bytes(content)
    return WrittenShard(account=account, entry=_entry(plan, table.num_rows, content))


def _encode(table: pa.Table) -> memoryview:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    # Spectrograms hardly compress, and decompression would cost readers more than the disk does.
    pq.write_table(
        table,
        sink,
        compression="none",
        use_dictionary=list(_TEXT_COLUMNS),
        write_page_checksum=True,
        write_statistics=False,
    )
    return memoryview(sink.getvalue())


def _finished(plan: ShardPlan, place: Location) -> WrittenShard | None:
    """The shard, if it is there, whole, and made by this plan."""
    if not place.is_file():
        return None
    content = memoryview(place.read_bytes())
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        footer = file.schema_arrow.metadata
        account = ShardStatistics(**json.loads(footer[_FOOTER_KEY]))
        is_whole = sha256(footer[_FOOTER_KEY]) == footer[_FOOTER_HASH_KEY].decode()
        if not is_whole or account.plan_sha256 != plan.sha256 or account.quarantined:
            return None
        num_rows = file.read().num_rows
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None  # damaged, or not ours: it is made again
    return WrittenShard(account=account, entry=_entry(plan, num_rows, content))


def _entry(plan: ShardPlan, num_rows: int, content: memoryview) -> Shard:
    return Shard(
        split=plan.split,
        name=plan.name,
        num_rows=num_rows,
        num_bytes=len(content),
        sha256=sha256(content),
    )


def _make_table(plan: ShardPlan) -> tuple[pa.Table, ShardStatistics]:
    kept: list[dict[str, Any]] = []
    quarantined = []
    seconds: defaultdict[str, float] = defaultdict(float)
    sample_rates: Counter[str] = Counter()
    views = {view: _View(settings, len(plan.clips)) for view, settings in VIEWS.items()}
    for clip in plan.clips:
        try:
            audio = _load(clip, plan)
        except UnreadableClipError as error:
            quarantined.append({"path": clip["path"], "reason": str(error)})
            continue
        for view in views.values():
            view.add(audio.waveform)
        kept.append(clip)
        if clip["copy"] == 0:
            seconds[clip["label"] or ""] += audio.duration_s
            sample_rates[str(audio.sample_rate_hz)] += 1
    account = ShardStatistics(
        plan_sha256=plan.sha256,
        quarantined=quarantined,
        moments={name: view.moments.tolist() for name, view in views.items()},
        seconds=dict(seconds),
        sample_rates=dict(sample_rates),
    )
    return _to_table(kept, views, plan, account), account


class _View:
    """Spectrograms of one view, collected clip by clip."""

    def __init__(self, settings: SpectrogramConfig, num_clips: int) -> None:
        self._settings = settings
        self._filled = 0
        self._spectrograms = np.empty(
            (num_clips, settings.num_mels, settings.num_frames), np.float16
        )
        self.moments = np.zeros((3, settings.num_mels))
        """Count, sum and sum of squares by mel band."""

    def add(self, waveform: np.ndarray) -> None:
        spectrogram = log_mel(waveform, self._settings, CLIP.sample_rate_hz)
        self._spectrograms[self._filled] = spectrogram
        self._filled += 1
        self.moments += [
            np.full(len(spectrogram), spectrogram.shape[1]),
            spectrogram.sum(axis=1),
            np.square(spectrogram).sum(axis=1),
        ]

    def to_arrow(self) -> pa.FixedShapeTensorArray:
        return pa.FixedShapeTensorArray.from_numpy_ndarray(self._spectrograms[: self._filled])


def _load(clip: dict[str, Any], plan: ShardPlan) -> Clip:
    """A clip, or its varied copy, the same on every machine."""
    audio = load(clip["path"], CLIP)
    if clip["copy"] == 0:
        return audio
    seed = [plan.seed, zlib.crc32(clip["clip_id"].encode()), clip["copy"]]
    return replace(
        audio, waveform=vary(audio.waveform, CLIP.sample_rate_hz, plan.augmentations, seed)
    )


def _to_table(
    clips: list[dict[str, Any]], views: dict[str, _View], plan: ShardPlan, account: ShardStatistics
) -> pa.Table:
    augmented = f"{' '.join(plan.augmentations)}, copy "
    rows = [
        clip | {"augmentation": f"{augmented}{clip['copy']}" if clip["copy"] else NOT_AUGMENTED}
        for clip in clips
    ]
    columns = {
        name: pa.array(
            [row[name] for row in rows], pa.string() if name in _TEXT_COLUMNS else pa.int64()
        )
        for name in _COLUMN_ORDER
    }
    tensors = {name: view.to_arrow() for name, view in views.items()} if rows else {}
    footer = json.dumps(asdict(account)).encode()
    return pa.table(columns | tensors).replace_schema_metadata(
        {_FOOTER_KEY: footer, _FOOTER_HASH_KEY: sha256(footer)}
    )
