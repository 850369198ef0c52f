"""Whole splits in memory, which tests compare with."""

import numpy as np

from freqquest.dataset.manifest import Manifest
from freqquest.dataset.read import ClipArrays, SplitReader
from freqquest.dataset.views import ViewName
from freqquest.storage import Location


def read_split(dataset: Location, manifest: Manifest, split: str, view: ViewName) -> ClipArrays:
    """Load a whole split in the order of its shards."""
    shards = list(SplitReader(dataset, manifest, split, view).shards())
    return ClipArrays(
        spectrograms=np.concatenate([shard.spectrograms for shard in shards]),
        class_indices=np.concatenate([shard.class_indices for shard in shards]),
        labels=np.concatenate([shard.labels for shard in shards]),
        clip_ids=[clip_id for shard in shards for clip_id in shard.clip_ids],
        recordings=[recording for shard in shards for recording in shard.recordings],
        vectors=np.concatenate([shard.vectors for shard in shards])
        if shards[0].vectors is not None
        else None,
    )
