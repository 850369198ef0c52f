"""Plan of a dataset: its clips, their splits, and the shard of each.

Pure functions of the sources and the settings: the same clips give the same shards on any number of
workers.
"""

import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import SPLITS
from freqquest.dataset.shard import PlannedClip, ShardPlan
from freqquest.dataset.sources import digest, find_labeled, find_unlabeled
from freqquest.dataset.split import assign_splits
from freqquest.errors import UserError
from freqquest.storage import locate

_NOT_COMPARED = {
    "audio_dir",
    "dataset_dir",
    "metadata",
    "annotations",
    "test_dir",
    "max_quarantined_fraction",
    "overwrite",
    "verify",
}
"""Settings that do not change the dataset; the hash of the sources covers the folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPlan:
    """Plan of a whole dataset."""

    settings: dict[str, object]
    """Settings that two equal datasets share."""

    sources_sha256: str
    """Hash of the clips' names, sizes, modification times, labels, recordings, folds and splits."""

    split_description: str
    """Description of the split, to go with every accuracy over it."""

    classes: list[str]
    """Class names, sorted."""

    clips: pd.DataFrame
    """Table of clips with `split`, without augmented copies."""

    rejected: pd.DataFrame
    """Table of `path` and `reason` for files that are not clips."""

    shards: list[ShardPlan]
    """Plans of the shards, in the order of the splits and their names."""


def plan_dataset(config: PreprocessConfig) -> DatasetPlan:
    """Find the clips, split them, and divide the splits into shards.

    Raises:
        UserError: The sources cannot make a dataset.
    """
    assert config.audio_dir is not None
    if locate(config.dataset_dir).is_below(locate(config.audio_dir)):
        raise UserError(
            f"`dataset_dir={config.dataset_dir}` is inside `audio_dir={config.audio_dir}`: "
            "choose a folder outside the clips"
        )
    labeled = find_labeled(config, config.audio_dir)
    splits, split_description = assign_splits(labeled.clips, config)
    tables, rejected = [labeled.clips.assign(split=splits)], [labeled.rejected]
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
    clips = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    clips = clips.where(clips.notna(), None)
    classes = sorted(clips["label"][clips["split"] != "test"].unique())
    return DatasetPlan(
        settings=compared_settings(config),
        sources_sha256=digest(clips),
        split_description=split_description,
        classes=classes,
        clips=clips,
        rejected=pd.concat(rejected, ignore_index=True),
        shards=[shard for split in SPLITS for shard in _plan_shards(clips, split, classes, config)],
    )


def compared_settings(config: PreprocessConfig) -> dict[str, object]:
    """Return the settings that shape the dataset, with JSON's types, as a manifest has them."""
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _NOT_COMPARED
    }
    settings["clips_per_shard"] = config.effective_clips_per_shard
    return cast(dict[str, object], json.loads(json.dumps(settings)))


def _plan_shards(
    clips: pd.DataFrame, split: str, classes: list[str], config: PreprocessConfig
) -> list[ShardPlan]:
    index_of = {label: index for index, label in enumerate(classes)}
    clips_per_shard = config.effective_clips_per_shard
    num_copies = config.num_augmented_copies if split == "train" else 0
    rows = [
        clip | {"class_index": index_of.get(clip["label"], -1), "copy": copy}
        for clip in clips[clips["split"] == split].to_dict("records")
        for copy in range(1 + num_copies)
    ]
    # Shuffled once, so that every shard mixes classes and recordings.
    order = np.random.default_rng([config.seed, zlib.crc32(split.encode())]).permutation(len(rows))
    return [
        ShardPlan(
            split=split,
            name=f"part-{number:05d}.parquet",
            seed=config.seed,
            augmentations=config.augmentations,
            clip=config.clip,
            views=config.views,
            clips=[
                cast(PlannedClip, rows[index]) for index in order[start : start + clips_per_shard]
            ],
        )
        for number, start in enumerate(range(0, len(rows), clips_per_shard))
    ]
