"""Make the sharded spectrogram dataset with Ray Data.

Each task makes one shard whole, so memory is bounded by a shard a task; the manifest is written last and commits all.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from freqquest import cluster
from freqquest.dataset.config import CLIP, VIEWS, PreprocessConfig
from freqquest.dataset.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    QUARANTINE_NAME,
    SHARD_NAME,
    SPLITS,
    Manifest,
    Normalisation,
    load_manifest,
)
from freqquest.dataset.plan import DatasetPlan, plan_dataset
from freqquest.dataset.shard import ShardPlan, WrittenShard, write_shard
from freqquest.errors import UserError
from freqquest.runs.folder import changed_settings
from freqquest.runs.progress import Progress
from freqquest.runs.storage import Location, locate
from freqquest.runs.tables import write_csv


def write_dataset(config: PreprocessConfig) -> Manifest:
    """Preprocess a folder of clips; the same dataset, already finished, is left as it is.

    Needs an initialised Ray.

    Raises:
        UserError: The sources cannot make a dataset, too many clips are unreadable, or the folder holds
            something else.
    """
    dataset = locate(config.dataset_dir)
    plan = plan_dataset(config)
    old_shards = _old_shards(dataset)
    if not config.overwrite:
        finished = _finished_dataset(dataset, plan)
        if finished is not None:
            return finished
    (dataset / MANIFEST_NAME).remove_file()
    for shard in old_shards:
        shard.remove_file()
    written = _write_shards(plan.shards, dataset, config.seed)
    refused = _list_refused(written, dataset, plan, config.max_quarantined_fraction)
    manifest = _describe(plan, written, refused)
    manifest.save(dataset)
    return manifest


def _old_shards(dataset: Location) -> list[Location]:
    """Shards of an earlier or interrupted run.

    Raises:
        UserError: The folder holds anything else, which must not be mixed with a dataset or removed with it.
    """
    if not dataset.exists():
        return []
    inside = dataset.list_dir() if dataset.is_dir() else [dataset]
    folders = [item for item in inside if item.name in SPLITS and item.is_dir()]
    shards = [item for folder in folders for item in folder.list_dir()]
    foreign = [item for item in shards if not (SHARD_NAME.fullmatch(item.name) and item.is_file())]
    foreign += [item for item in inside if item not in folders and item.name not in (MANIFEST_NAME, QUARANTINE_NAME)]
    if foreign:
        raise UserError(
            f"{dataset} holds {foreign[0].name}, which is no part of a dataset: choose an empty or new --dataset-dir"
        )
    return shards


def _finished_dataset(dataset: Location, plan: DatasetPlan) -> Manifest | None:
    """The dataset that is already there, if it is the planned one.

    Raises:
        UserError: The folder holds another dataset.
    """
    if not (dataset / MANIFEST_NAME).is_file():
        return None
    manifest = load_manifest(dataset)
    changed = changed_settings(plan.settings, manifest.settings)
    if not changed and manifest.sources_sha256 != plan.sources_sha256:
        changed = ["the clips, their labels, recordings or folds"]
    if changed:
        raise UserError(
            f"{dataset} holds a dataset made differently: {', '.join(changed)}; "
            "choose another folder, or replace this one (jobs/preprocess.py --overwrite)"
        )
    return manifest


def _write_shards(shards: list[ShardPlan], dataset: Location, seed: int) -> list[WrittenShard]:
    """Run the plan as a Ray Data pipeline; results come in the order of the plan."""
    import ray.data

    cluster.quiet("data")
    pipeline = ray.data.range(len(shards), override_num_blocks=len(shards)).map(
        partial(_write_planned, plan=ray.put(shards), dataset=dataset, seed=seed)
    )
    written: dict[int, WrittenShard] = {}
    with Progress("preprocess", sum(len(shard.clips) for shard in shards), "clips") as progress:
        for row in pipeline.iter_rows():
            written[row["id"]] = row["written"]
            progress.update(len(shards[row["id"]].clips))
    return [written[number] for number in range(len(shards))]


def _write_planned(row: dict[str, Any], plan: Any, dataset: Location, seed: int) -> dict[str, Any]:
    import ray

    return {"id": row["id"], "written": write_shard(ray.get(plan)[row["id"]], dataset, seed)}


def _list_refused(
    written: list[WrittenShard], dataset: Location, plan: DatasetPlan, max_fraction: float
) -> pd.DataFrame:
    """Write quarantine.csv; one bad clip never stops a run, more than the share allowed do."""
    rows = [row for shard in written for row in shard.quarantined]
    refused = pd.DataFrame(rows, columns=["path", "reason"]).drop_duplicates("path", ignore_index=True)
    write_csv(refused, dataset / QUARANTINE_NAME)
    num_clips = len(plan.clips)
    if len(refused) > max(1, max_fraction * num_clips):
        raise UserError(
            f"{len(refused)} of {num_clips} clips cannot be read, more than --max-quarantined-fraction {max_fraction} "
            f"allows; the first is {refused['path'][0]} ({refused['reason'][0]}), "
            f"all are listed in {dataset / QUARANTINE_NAME}"
        )
    return refused


def _describe(plan: DatasetPlan, written: list[WrittenShard], refused: pd.DataFrame) -> Manifest:
    kept = plan.clips[~plan.clips["path"].isin(refused["path"])]
    for split in ("train", "validation"):
        lost = set(plan.classes) - set(kept["label"][kept["split"] == split])
        if lost:
            raise UserError(f"class {min(lost)} has no readable clip in the split {split}: see {QUARANTINE_NAME}")
    entries = [shard.entry for shard in written if shard.entry is not None]
    return Manifest(
        version=FORMAT_VERSION,
        settings=plan.settings,
        sources_sha256=plan.sources_sha256,
        classes=plan.classes,
        clip=CLIP,
        views=VIEWS,
        split_description=plan.split_description,
        num_clips=_count(kept, "path"),
        num_recordings=_count(kept, "recording"),
        num_rows={split: sum(entry.num_rows for entry in entries if entry.split == split) for split in SPLITS},
        num_quarantined=len(refused),
        normalisation={view: _normalisation(written, view) for view in VIEWS},
        shards=entries,
    )


def _count(clips: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """Different values of a column, by split and class."""
    counts: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    for (split, label), group in clips.fillna({"label": ""}).groupby(["split", "label"]):
        counts[str(split)][str(label)] = int(group[column].nunique())
    return counts


def _normalisation(written: list[WrittenShard], view: str) -> Normalisation:
    """Statistics of the training split only: validation must not shape what it judges."""
    train = [shard for shard in written if shard.entry is not None and shard.entry.split == "train"]
    count, total, squares = np.sum([shard.moments[view] for shard in train], axis=0)
    mean = total.sum() / count.sum()
    variance = squares.sum() / count.sum() - mean**2
    band_variances = squares / count - np.square(total / count)
    return Normalisation(
        mean=float(mean),
        standard_deviation=float(np.sqrt(max(variance, 0.0))),
        band_means=(total / count).tolist(),
        band_standard_deviations=np.sqrt(np.maximum(band_variances, 0.0)).tolist(),
    )
