"""Make one shard: decode its clips, compute every view, write one Parquet file.

Knows nothing of Ray, so a Ray Data task, a test and a notebook run the same function. Shapes: M mel bands, T frames.
"""

import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.audio.augment import vary
from freqquest.audio.files import UnreadableClipError, load_clip
from freqquest.audio.spectrogram import log_mel
from freqquest.dataset.config import CLIP, VIEWS
from freqquest.dataset.manifest import Shard, sha256
from freqquest.runs.storage import Location, locate

_TEXT_COLUMNS = ("clip_id", "path", "label", "recording", "split")
_COLUMN_ORDER = ("clip_id", "path", "label", "class_index", "recording", "fold", "split", "augmentation")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """What goes into one shard."""

    split: str
    name: str
    clips: list[dict[str, Any]]
    """Rows of the table of clips, with `class_index` (-1 for unlabelled clips) and `copy` (0 for the clip itself)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenShard:
    """What became of it."""

    entry: Shard | None
    """None where no clip of the shard could be read."""
    quarantined: list[dict[str, str]]
    """`path` and `reason` of each refused clip."""
    moments: dict[str, np.ndarray]
    """Each view's count, sum and sum of squares by mel band: `[3, M]`, float64."""


def write_shard(plan: ShardPlan, dataset: Location, seed: int) -> WrittenShard:
    """Decode, analyse and write; clips that cannot be read are set aside with the reason."""
    kept: list[dict[str, Any]] = []
    views: dict[str, list[np.ndarray]] = {view: [] for view in VIEWS}
    quarantined = []
    for clip in plan.clips:
        try:
            waveform = _load(clip, seed)
        except (UnreadableClipError, OSError) as error:
            quarantined.append({"path": clip["path"], "reason": str(error)})
            continue
        kept.append(clip)
        for view, settings in VIEWS.items():
            views[view].append(log_mel(waveform, settings, CLIP.sample_rate_hz).astype(np.float16))
    stacked = {view: np.stack(items) for view, items in views.items() if items}
    return WrittenShard(
        entry=_write_parquet(plan, kept, stacked, dataset) if kept else None,
        quarantined=quarantined,
        moments={view: _moments(spectrograms) for view, spectrograms in stacked.items()},
    )


def _load(clip: dict[str, Any], seed: int) -> np.ndarray:
    """A clip's waveform, or its varied copy, the same on every machine."""
    with locate(clip["path"]).open() as stream:
        waveform = load_clip(stream, CLIP)
    if clip["copy"] == 0:
        return waveform
    rng = np.random.default_rng([seed, zlib.crc32(clip["clip_id"].encode()), clip["copy"]])
    return vary(waveform, CLIP.sample_rate_hz, rng)


def _write_parquet(
    plan: ShardPlan, clips: list[dict[str, Any]], views: dict[str, np.ndarray], dataset: Location
) -> Shard:
    columns = {name: pa.array([clip[name] for clip in clips], pa.string()) for name in _TEXT_COLUMNS}
    columns["class_index"] = pa.array([clip["class_index"] for clip in clips], pa.int64())
    columns["fold"] = pa.array([clip["fold"] for clip in clips], pa.int64())
    columns["augmentation"] = pa.array([_describe_copy(clip["copy"]) for clip in clips], pa.string())
    for view, spectrograms in views.items():
        columns[view] = pa.FixedShapeTensorArray.from_numpy_ndarray(spectrograms)
    table = pa.table({name: columns[name] for name in (*_COLUMN_ORDER, *views)})
    buffer = io.BytesIO()
    # Spectrograms hardly compress, and decompression would cost readers more than the disk does.
    pq.write_table(table, buffer, compression="none", use_dictionary=list(_TEXT_COLUMNS))
    content = buffer.getvalue()
    (dataset / plan.split / plan.name).write_bytes(content)
    return Shard(split=plan.split, name=plan.name, num_rows=len(clips), num_bytes=len(content), sha256=sha256(content))


def _describe_copy(copy: int) -> str:
    return "none" if copy == 0 else f"pitch and speed, copy {copy}"


def _moments(spectrograms: np.ndarray) -> np.ndarray:
    """`[3, M]` of spectrograms `[N, M, T]`; one clip at a time, as float64 of all would be large."""
    moments = np.zeros((3, spectrograms.shape[1]))
    for spectrogram in spectrograms.astype(np.float32):
        moments[0] += spectrogram.shape[1]
        moments[1] += spectrogram.sum(axis=1, dtype=np.float64)
        moments[2] += np.square(spectrogram).sum(axis=1, dtype=np.float64)
    return moments
