"""Plan of a dataset: its clips and their splits, and the shards that they are written to.

Pure functions of the sources and the settings: the same clips give the same shards on any number of
workers.
"""

import dataclasses
import json
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.labels import class_names, have_several, label_indices
from freqquest.dataset.manifest import SPLITS
from freqquest.dataset.planned_order import planned_order
from freqquest.dataset.shard import PlannedClip, ShardPlan
from freqquest.dataset.sources import CLIP_COLUMNS, digest, find_labeled, find_unlabeled
from freqquest.dataset.split import assign_splits
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.network import read_network
from freqquest.embedding.settings import EmbeddingSettings
from freqquest.errors import UserError
from freqquest.storage import locate

_NOT_COMPARED = {
    *EmbeddingSettings.__dataclass_fields__,
    "audio_dir",
    "dataset_dir",
    "metadata",
    "annotations",
    "test_dir",
    "max_quarantined_fraction",
    "overwrite",
    "append",
    "verify",
}
"""Settings that do not change the dataset; the hash of the sources covers the folders, and the
network is compared by its own hash."""

_SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("clip_id", "path", "label", "recording", "split", "source")
        ),
        *((name, pa.float64()) for name in ("start_s", "end_s")),
        *((name, pa.int64()) for name in ("fold", "num_bytes", "modified_ns")),
    ]
)
"""Columns of a table of clips, for Arrow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPlan:
    """Clips of a dataset, before their windows are found."""

    settings: dict[str, object]
    """Settings that two equal datasets share."""

    sources_sha256: str
    """Hash of the clips' names, sizes, modification times, labels, recordings, folds, and splits in
    the user's tables."""

    split_description: str
    """Description of the split, to go with every accuracy over it."""

    classes: list[str]
    """Class names, sorted."""

    background_label: str | None
    """Class that is the background, if there is one."""

    clips: pd.DataFrame
    """Table of clips with `split`, without augmented copies."""

    rejected: pd.DataFrame
    """Table of `path` and `reason` for files that are not clips."""

    notes: list[str]
    """Lines about the sources for the summary."""

    embedding: EmbeddingConfig | None
    """Pretrained network whose vectors the clips get, if there is one."""

    network: bytes
    """Its file."""


def plan_dataset(config: PreprocessConfig) -> DatasetPlan:
    """Find the clips and split them.

    Raises:
        UserError: The sources cannot make a dataset, or the pretrained network is not usable.
    """
    assert config.audio_dir is not None
    if locate(config.dataset_dir).is_below(locate(config.audio_dir)):
        raise UserError(
            f"`dataset_dir={config.dataset_dir}` is inside `audio_dir={config.audio_dir}`: "
            "choose a folder outside the clips"
        )
    embedding, network = _read_network(config)
    labeled = find_labeled(config, config.audio_dir)
    splits, split_description = assign_splits(labeled.clips, config)
    tables, rejected, notes = [labeled.clips], [labeled.rejected], [*labeled.notes]
    if num_several := int(have_several(labeled.clips["label"]).sum()):
        notes.append(f"labels: {num_several:,} of {len(labeled.clips):,} clips have several")
    if config.test_dir is not None:
        unlabeled = find_unlabeled(config.test_dir, "test_dir")
        both = set(labeled.clips["path"]) & set(unlabeled.clips["path"])
        if both:
            raise UserError(
                f"{min(both)} is in both `audio_dir` and `test_dir`: keep test clips out of the "
                "class folders"
            )
        tables.append(unlabeled.clips)
        rejected.append(unlabeled.rejected)
        notes += [f"`test_dir`: {note}" for note in unlabeled.notes]
    clips = pa.concat_tables(map(_to_arrow, tables)).to_pandas(types_mapper=_PANDAS_TYPES.get)
    clips = clips[CLIP_COLUMNS]
    sources_sha256 = digest(clips)
    all_splits = pd.concat([splits, clips["split"][len(splits) :]])
    clips = clips.assign(split=all_splits.array)
    return DatasetPlan(
        settings=compared_settings(config) | (embedding.identity if embedding else {}),
        sources_sha256=sources_sha256,
        split_description=split_description,
        classes=class_names(clips["label"][clips["split"] != "test"]),
        background_label=labeled.background_label,
        clips=clips,
        rejected=pd.concat(rejected, ignore_index=True),
        notes=notes,
        embedding=embedding,
        network=network,
    )


def _read_network(config: PreprocessConfig) -> tuple[EmbeddingConfig | None, bytes]:
    if config.embedding is None:
        return None, b""
    file = locate(config.embedding)
    return read_network(file, config.embedding_rate, config.embedding_tensor)


_PANDAS_TYPES = {pa.string(): pd.StringDtype(na_value=np.nan), pa.int64(): pd.Int64Dtype()}
"""Types of a table of clips in pandas; text is stored compactly."""


def _to_arrow(clips: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(clips[_SCHEMA.names], _SCHEMA, preserve_index=False)


def compared_settings(config: PreprocessConfig) -> dict[str, object]:
    """Return the settings that shape the dataset, with JSON's types, as a manifest has them.

    Those of a pretrained network are not among them.
    """
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _NOT_COMPARED
    }
    settings["clips_per_shard"] = config.effective_clips_per_shard
    return cast(dict[str, object], json.loads(json.dumps(settings)))


class _ShardRows(NamedTuple):
    """Rows of a shard in the table of all planned rows."""

    split: str
    name: str
    start: int
    num_rows: int


class ShardPlans:
    """Plans of all shards, in the order of the splits and their names.

    One Arrow table holds the rows of all of them, which workers share in memory.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        classes: list[str],
        config: PreprocessConfig,
        background_label: str | None = None,
        embedding: EmbeddingConfig | None = None,
        earlier: Collection[str] = (),
    ) -> None:
        """Divide a table of clips, with their splits, into shards.

        Args:
            clips: Table of clips.
            classes: Class names, in the order of `class_index`.
            config: Settings of the dataset.
            background_label: Class that is the background, if there is one.
            embedding: Pretrained network whose vectors the clips get, if there is one.
            earlier: Paths of shards that the dataset has already, after which these are numbered.
        """
        self._background_label, self._embedding = background_label, embedding
        self._seed, self._augmentations = config.seed, config.augmentations
        self._clip, self._views = config.clip, config.views
        self._shards: list[_ShardRows] = []
        indices = label_indices(clips["label"], classes)
        per_shard, num_rows, tables = config.effective_clips_per_shard, 0, []
        for split in SPLITS:
            table = _planned_rows(clips[clips["split"] == split], split, indices, config)
            first = _next_number(split, earlier)
            self._shards += [
                _ShardRows(
                    split,
                    f"part-{first + number:05d}.parquet",
                    num_rows + start,
                    min(per_shard, len(table) - start),
                )
                for number, start in enumerate(range(0, len(table), per_shard))
            ]
            num_rows += len(table)
            tables.append(table)
        self._rows = pa.concat_tables(tables)

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._shards)

    @property
    def num_rows(self) -> int:
        """Number of rows of all shards, augmented copies included."""
        return int(self._rows.num_rows)

    @property
    def paths(self) -> set[str]:
        """Paths of the shards, relative to the dataset's folder."""
        return {f"{shard.split}/{shard.name}" for shard in self._shards}

    def __getitem__(self, number: int) -> ShardPlan:
        """Return the plan of a shard."""
        shard = self._shards[number]
        return ShardPlan(
            split=shard.split,
            name=shard.name,
            seed=self._seed,
            augmentations=self._augmentations,
            clip=self._clip,
            views=self._views,
            background_label=self._background_label,
            embedding=self._embedding,
            clips=cast(
                list[PlannedClip], self._rows.slice(shard.start, shard.num_rows).to_pylist()
            ),
        )


def _next_number(split: str, paths: Collection[str]) -> int:
    """Return the number of the first shard after those of a split."""
    numbers = [path.partition("/part-")[2] for path in paths if path.startswith(f"{split}/")]
    return 1 + max((int(number.removesuffix(".parquet")) for number in numbers), default=-1)


def _planned_rows(
    clips: pd.DataFrame, split: str, label_indices: pd.DataFrame, config: PreprocessConfig
) -> pa.Table:
    """Return the rows of a split, augmented copies included, in the order of the shards."""
    num_versions = 1 + (config.num_augmented_copies if split == "train" else 0)
    # Shuffled once, so that every shard mixes classes and recordings.
    rng = np.random.default_rng([config.seed, zlib.crc32(split.encode())])
    order = planned_order(clips, num_versions, rng)
    indices = label_indices.reindex(clips["label"].fillna(""))
    rows = order // num_versions
    return (
        _to_arrow(clips)
        .drop_columns("source")
        .take(rows)
        .append_column("class_index", pa.array(indices["rarest"].to_numpy()[rows]))
        .append_column(
            "class_indices",
            pa.array(indices["all"].to_numpy()[rows], pa.list_(pa.int64())),
        )
        .append_column("copy", pa.array(order % num_versions))
    )
