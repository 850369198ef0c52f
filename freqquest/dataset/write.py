"""Make the sharded spectrogram dataset with Ray Data.

Each task makes one shard whole, so memory is bounded by a shard a task; the manifest is written last and commits all.
"""

import json
import uuid
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from freqquest.cluster import connection, preflight
from freqquest.dataset.config import CLIP, VIEWS, PreprocessConfig
from freqquest.dataset.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    OUR_FILES,
    QUARANTINE_NAME,
    SPLITS,
    UNFINISHED_NAME,
    Manifest,
    Normalization,
    load_manifest,
)
from freqquest.dataset.plan import DatasetPlan, plan_dataset
from freqquest.dataset.read import verify_dataset
from freqquest.dataset.shard import ShardPlan, WrittenShard, write_shard
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.runs.folder import changed_settings
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate

_CPUS_PER_TASK = 2 / 3
"""Three tasks on two cores: while one waits for the disk, or Ray for its next shard, the others compute."""


def preprocess(config: PreprocessConfig) -> str:
    """What the job does: make a dataset, or verify one; returns what it holds, for people.

    Raises:
        UserError: As `write_dataset` and `verify_dataset` do.
    """
    if config.verify:
        return verify_dataset(config.dataset_dir)
    return write_dataset(config).summary(config.dataset_dir)


def write_dataset(config: PreprocessConfig) -> Manifest:
    """Preprocess a folder of clips. The same dataset, already finished, is left as it is; the shards that an
    interrupted run has finished are kept.

    Connects to Ray if there is work to do.

    Raises:
        UserError: The sources cannot make a dataset, too many clips are unreadable, or the folder holds
            something else.
    """
    dataset = locate(config.dataset_dir)
    plan = plan_dataset(config)
    there = _shards_there(dataset)
    finished = None if config.overwrite else _earlier_dataset(dataset, config, plan, there)
    if finished is not None and there == {shard.path: shard.num_bytes for shard in finished.shards}:
        (dataset / UNFINISHED_NAME).remove_file()  # left by a kill after the manifest
        return finished
    preflight.connect(config.requirements)
    this_run = _begin(dataset, config, plan, there)
    written = _write_shards(plan.shards, dataset)
    refused = _list_refused(written, dataset, plan, config.max_quarantined_fraction)
    manifest = _describe(plan, written, refused)
    from freqquest.dataset.figures import (
        draw_figures,  # matplotlib: not for the workers, which import this module
    )

    draw_figures(dataset, manifest)
    if (dataset / UNFINISHED_NAME).read_text() != this_run:
        raise UserError(
            f"another run has begun to write {dataset}: let one of them finish, then run the other again"
        )
    manifest.save(dataset)
    (dataset / UNFINISHED_NAME).remove_file()
    return manifest


def _shards_there(dataset: Location) -> dict[str, int]:
    """Sizes, in bytes, of the shards of an earlier or interrupted run.

    Raises:
        UserError: The folder holds anything else, which must not be mixed with a dataset or removed with it.
    """
    if not dataset.exists():
        return {}
    if not dataset.is_dir():
        raise UserError(f"--dataset-dir {dataset} is a file: name a new folder")
    entries = {entry.path: entry for entry in dataset.walk()}
    foreign = [
        path for path, entry in entries.items() if entry.problem or not OUR_FILES.fullmatch(path)
    ]
    if foreign:
        raise UserError(
            f"{dataset} holds {foreign[0]}, which is no part of a dataset: choose an empty or new --dataset-dir"
        )
    return {path: entry.num_bytes for path, entry in entries.items() if path.endswith(".parquet")}


def _earlier_dataset(
    dataset: Location, config: PreprocessConfig, plan: DatasetPlan, there: dict[str, int]
) -> Manifest | None:
    """The manifest that is already there, of the planned dataset; none where a run has yet to finish it.

    Raises:
        UserError: The folder holds another dataset, or a part of one.
    """
    if (dataset / MANIFEST_NAME).is_file():
        manifest = load_manifest(dataset)
        changed = changed_settings(plan.settings, manifest.settings)
        if not changed and (manifest.clip, manifest.views) != (CLIP, VIEWS):
            changed = ["the spectrograms' settings, by another freqquest"]
        if not changed and manifest.sources_sha256 != plan.sources_sha256:
            changed = [
                "the clips (files, sizes or times of change), their labels, recordings or folds"
            ]
        _refuse(f"{dataset} holds a dataset", changed)
        return manifest
    if (
        dataset / UNFINISHED_NAME
    ).is_file():  # changed clips are welcome: broken ones may have been mended
        try:
            begun = json.loads((dataset / UNFINISHED_NAME).read_text())["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{dataset / UNFINISHED_NAME} is damaged: remove it, or --overwrite"
            ) from error
        _refuse(
            f"{dataset} holds an interrupted dataset",
            changed_settings(_with_source(config, plan), begun),
        )
    elif there:
        raise UserError(
            f"{dataset} holds {min(there)}, but neither {MANIFEST_NAME} nor {UNFINISHED_NAME}: it may be somebody's "
            "own; choose a new --dataset-dir, or replace it (jobs/preprocess.py --overwrite)"
        )
    return None


def _with_source(config: PreprocessConfig, plan: DatasetPlan) -> dict[str, Any]:
    """What an interrupted run is known by: whoever continues it means the same folder of clips."""
    return plan.settings | {"audio_dir": str(locate(config.audio_dir or ""))}


def _refuse(holds: str, changed: list[str]) -> None:
    if changed:
        raise UserError(
            f"{holds} made differently: {', '.join(changed)}; "
            "choose another folder, or replace this one (jobs/preprocess.py --overwrite)"
        )


def _begin(
    dataset: Location, config: PreprocessConfig, plan: DatasetPlan, there: dict[str, int]
) -> str:
    """Remove what this run will not use; returns what it has left to be known by, until it ends."""
    this_run = json.dumps({"settings": _with_source(config, plan), "run": uuid.uuid4().hex})
    (dataset / UNFINISHED_NAME).write_text(this_run)
    (dataset / MANIFEST_NAME).remove_file()
    dataset.remove_staged()
    for path in there.keys() - {shard.path for shard in plan.shards}:
        (dataset / path).remove_file()
    return this_run


def _write_shards(shards: list[ShardPlan], dataset: Location) -> list[WrittenShard]:
    """Run the plan as a Ray Data pipeline; results come in the order of the plan.

    Raises:
        OSError: A shard cannot be made: a place that is read, or written, fails.
    """
    import ray.data

    connection.silence("data")
    rows = [{"number": number, "plan": plan} for number, plan in enumerate(shards)]
    pipeline = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        partial(_write_planned, dataset=dataset), num_cpus=_CPUS_PER_TASK
    )
    written: dict[int, WrittenShard] = {}
    with Progress("preprocess", sum(len(shard.clips) for shard in shards), "clips") as progress:
        for row in pipeline.iter_rows():
            if row["problem"]:
                raise OSError(
                    f"{dataset / shards[row['number']].path} cannot be made: {row['problem']}"
                )
            written[row["number"]] = row["written"]
            progress.update(len(shards[row["number"]].clips))
    return [written[number] for number in range(len(shards))]


def _write_planned(row: dict[str, Any], dataset: Location) -> dict[str, Any]:
    """What comes of a shard, or why it cannot be made: Ray would wrap what is raised into a page of text."""
    try:
        return {
            "number": row["number"],
            "written": write_shard(row["plan"], dataset),
            "problem": "",
        }
    except OSError as error:
        return {"number": row["number"], "written": None, "problem": error.strerror or str(error)}


def _list_refused(
    written: list[WrittenShard], dataset: Location, plan: DatasetPlan, max_fraction: float
) -> pd.DataFrame:
    """Write quarantine.csv; one bad clip never stops a run, more than the share allowed do."""
    rows = pd.DataFrame(
        [row for shard in written for row in shard.account.quarantined], columns=["path", "reason"]
    )
    refused = pd.concat([plan.refused, rows.drop_duplicates("path")], ignore_index=True)
    write_csv(refused, dataset / QUARANTINE_NAME)
    num_clips = len(plan.clips) + len(plan.refused)
    if len(refused) > max(1 if max_fraction else 0, max_fraction * num_clips):
        raise UserError(
            f"{len(refused)} of {num_clips} clips cannot be read, more than --max-quarantined-fraction {max_fraction} "
            f"allows; the first is {refused['path'][0]} ({refused['reason'][0]}), all are listed in "
            f"{dataset / QUARANTINE_NAME}; mend or remove them, or raise the share; the shards made so far are kept"
        )
    return refused


def _describe(plan: DatasetPlan, written: list[WrittenShard], refused: pd.DataFrame) -> Manifest:
    kept = plan.clips[~plan.clips["path"].isin(refused["path"])]
    for split in ("train", "validation"):
        lost = set(plan.classes) - set(kept["label"][kept["split"] == split])
        if lost:
            raise UserError(
                f"class {min(lost)} has no readable clip in the split {split}: see {QUARANTINE_NAME}"
            )
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
        num_rows={
            split: sum(entry.num_rows for entry in entries if entry.split == split)
            for split in SPLITS
        },
        seconds=_seconds(plan.shards, written),
        sample_rates=dict(
            sum((Counter(shard.account.sample_rates) for shard in written), Counter())
        ),
        num_quarantined=len(refused),
        normalization={view: _normalization(written, view) for view in VIEWS},
        shards=entries,
    )


def _count(clips: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """Different values of a column, by split and class."""
    counts: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    for (split, label), group in clips.fillna({"label": ""}).groupby(["split", "label"]):
        counts[str(split)][str(label)] = int(group[column].nunique())
    return counts


def _seconds(plans: list[ShardPlan], written: list[WrittenShard]) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, float]] = {split: {} for split in SPLITS}
    for plan, shard in zip(plans, written, strict=True):
        for label, length in shard.account.seconds.items():
            seconds[plan.split][label] = seconds[plan.split].get(label, 0.0) + length
    return seconds


def _normalization(written: list[WrittenShard], view: str) -> Normalization:
    """Statistics of the training split only: validation must not shape what it judges."""
    train = [shard for shard in written if shard.entry is not None and shard.entry.split == "train"]
    count, total, squares = np.sum([shard.account.moments[view] for shard in train], axis=0)
    mean = total.sum() / count.sum()
    variance = squares.sum() / count.sum() - mean**2
    band_variances = squares / count - np.square(total / count)
    return Normalization(
        mean=float(mean),
        standard_deviation=float(np.sqrt(max(variance, 0.0))),
        band_means=(total / count).tolist(),
        band_standard_deviations=np.sqrt(np.maximum(band_variances, 0.0)).tolist(),
    )
