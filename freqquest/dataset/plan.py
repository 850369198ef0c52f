"""Decide, before any work, which clips make the dataset and which shard each goes into.

Pure functions of the sources and the settings: the same clips give the same shards on any number of workers.
"""

import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import SPLITS, sha256
from freqquest.dataset.shard import ShardPlan
from freqquest.dataset.sources import find_labeled, find_unlabeled
from freqquest.dataset.split import assign_splits
from freqquest.errors import UserError
from freqquest.storage import locate

_NOT_COMPARED = {
    "audio_dir",
    "dataset_dir",
    "metadata",
    "test_dir",
    "max_quarantined_fraction",
    "overwrite",
    "verify",
}
"""Settings that do not make another dataset; the hash of the sources stands for the folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPlan:
    """All that the dataset will be."""

    settings: dict[str, Any]
    """The settings that two equal datasets share."""
    sources_sha256: str
    """Hash of the clips' names, sizes, times of change, labels, recordings, folds and splits."""
    split_description: str
    classes: list[str]
    clips: pd.DataFrame
    """The table of clips with `split`, without augmented copies."""
    refused: pd.DataFrame
    """`path` and `reason` of what is no clip at all."""
    shards: list[ShardPlan]


def plan_dataset(config: PreprocessConfig) -> DatasetPlan:
    """Find the clips, split them, and cut the splits into shards.

    Raises:
        UserError: The sources cannot make a dataset.
    """
    assert config.audio_dir is not None
    if locate(config.dataset_dir).is_below(locate(config.audio_dir)):
        raise UserError(
            f"--dataset-dir {config.dataset_dir} lies inside of --audio-dir: it would be taken for clips"
        )
    labeled = find_labeled(config.audio_dir, config.metadata, config.recording_pattern)
    splits, split_description = assign_splits(labeled.clips, config)
    tables, refused = [labeled.clips.assign(split=splits)], [labeled.refused]
    if config.test_dir is not None:
        unlabeled = find_unlabeled(config.test_dir)
        both = set(labeled.clips["path"]) & set(unlabeled.clips["path"])
        if both:
            raise UserError(
                f"{min(both)} is in --audio-dir and in --test-dir: keep test clips out of the class folders"
            )
        tables.append(unlabeled.clips)
        refused.append(unlabeled.refused)
    clips = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    clips = clips.where(clips.notna(), None)
    classes = sorted(clips["label"][clips["split"] != "test"].unique())
    # Settings as JSON gives them back, for the comparison with a manifest's.
    settings = json.loads(
        json.dumps({k: v for k, v in dataclasses.asdict(config).items() if k not in _NOT_COMPARED})
    )
    return DatasetPlan(
        settings=settings,
        sources_sha256=sha256(clips.drop(columns="path").to_csv(index=False).encode()),
        split_description=split_description,
        classes=classes,
        clips=clips,
        refused=pd.concat(refused, ignore_index=True),
        shards=[shard for split in SPLITS for shard in _plan_shards(clips, split, classes, config)],
    )


def _plan_shards(
    clips: pd.DataFrame, split: str, classes: list[str], config: PreprocessConfig
) -> list[ShardPlan]:
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
            seed=config.seed,
            augmentations=config.augmentations,
            clips=[rows[index] for index in order[start : start + config.clips_per_shard]],
        )
        for number, start in enumerate(range(0, len(rows), config.clips_per_shard))
    ]
