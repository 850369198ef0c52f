"""Decide, before any work, which clips make the dataset and which shard each goes into.

Pure functions of the sources and the settings: the same clips give the same shards on any number of workers.
"""

import dataclasses
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import SPLITS, sha256
from freqquest.dataset.shard import ShardPlan
from freqquest.dataset.sources import find_labelled, find_unlabelled
from freqquest.dataset.split import assign_splits
from freqquest.runs.storage import locate

_NOT_COMPARED = {"audio_dir", "dataset_dir", "metadata", "test_dir", "overwrite"}
"""Settings that do not make another dataset; the hash of the sources stands for the folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPlan:
    """All that the dataset will be."""

    settings: dict[str, Any]
    """The settings that two equal datasets share."""
    sources_sha256: str
    """Hash of the clips' names, sizes, labels, recordings, folds and splits."""
    split_description: str
    classes: list[str]
    clips: pd.DataFrame
    """The table of clips with `split`, without augmented copies."""
    shards: list[ShardPlan]


def plan_dataset(config: PreprocessConfig) -> DatasetPlan:
    """Find the clips, split them, and cut the splits into shards.

    Raises:
        UserError: The sources cannot make a dataset.
    """
    labelled = find_labelled(config.audio_dir, config.metadata, config.recording_pattern)
    splits, split_description = assign_splits(labelled, config)
    clips = labelled.assign(split=splits)
    if config.test_dir is not None:
        test_clips = find_unlabelled(config.test_dir).assign(split="test")
        clips = pd.concat([clips.astype(object), test_clips.astype(object)], ignore_index=True)
    clips = clips.astype(object).where(clips.notna(), None)
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in _NOT_COMPARED}
    classes = sorted(labelled["label"].unique())
    sizes = [locate(path).num_bytes() for path in clips["path"]]
    sources = clips.drop(columns="path").assign(num_bytes=sizes)
    return DatasetPlan(
        settings=settings,
        sources_sha256=sha256(sources.to_csv(index=False).encode()),
        split_description=split_description,
        classes=classes,
        clips=clips,
        shards=[shard for split in SPLITS for shard in _plan_shards(clips, split, classes, config)],
    )


def _plan_shards(clips: pd.DataFrame, split: str, classes: list[str], config: PreprocessConfig) -> list[ShardPlan]:
    index_of = {label: index for index, label in enumerate(classes)}
    num_copies = config.num_augmented_copies if split == "train" else 0
    rows = [
        clip | {"class_index": index_of.get(clip["label"], -1), "copy": copy}
        for clip in clips[clips["split"] == split].to_dict("records")
        for copy in range(1 + num_copies)
    ]
    # Shuffled once, so that every shard holds a mixture of classes and recordings.
    order = np.random.default_rng([config.seed, zlib.crc32(split.encode())]).permutation(len(rows))
    return [
        ShardPlan(
            split=split,
            name=f"part-{number:05d}.parquet",
            clips=[rows[index] for index in order[start : start + config.clips_per_shard]],
        )
        for number, start in enumerate(range(0, len(rows), config.clips_per_shard))
    ]
