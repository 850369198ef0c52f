"""The preprocess stage: make the sharded spectrogram dataset with Ray Data.

Each task makes one shard at a time, which bounds its memory. The manifest is written last and
commits the dataset.
"""

import json
import math
import uuid
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from freqquest.cluster import capacity, connection, preflight
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.earlier_clips import (
    EarlierClips,
    plan_new_clips,
    read_earlier_clips,
)
from freqquest.dataset.earlier_dataset import earlier_dataset, existing_shards, run_settings
from freqquest.dataset.make_manifest import make_manifest
from freqquest.dataset.manifest import MANIFEST_NAME, UNFINISHED_NAME, Manifest
from freqquest.dataset.plan import DatasetPlan, ShardPlans, plan_dataset
from freqquest.dataset.quarantine import are_too_many
from freqquest.dataset.shard import WrittenShard, write_shard
from freqquest.dataset.survey import find_windows
from freqquest.embedding.config import FILE_NAMES
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.runs.layout import QUARANTINE_NAME, WARNINGS_NAME
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate

if TYPE_CHECKING:
    import ray

_MAX_SHARDS_PER_TASK = 8
"""Shards that a task makes one after the other, at most: Ray Data takes 0.2 s to start the next
task, and a shard takes half a second."""


class _Result(TypedDict):
    """A row of Ray Data: a shard that was made."""

    number: int
    num_clips: int
    written: WrittenShard | None
    problem: str
    """Reason why the shard could not be made; empty if it was made."""


def write_dataset(
    config: PreprocessConfig, plan: DatasetPlan | None = None, *, is_checked: bool = False
) -> Manifest:
    """Preprocess a folder of clips.

    A complete dataset of the same clips and settings is kept, and so are the finished shards of an
    interrupted run. Connects to Ray only if there is work to do.

    Args:
        config: Settings of the dataset.
        plan: Plan of the dataset, if it was made already.
        is_checked: True if Ray is connected, and the cluster and the storage were checked.

    Raises:
        UserError: The sources cannot make a dataset, too many clips are rejected, or the folder
            holds something else.
    """
    dataset = locate(config.dataset_dir)
    plan = plan or plan_dataset(config)
    existing = existing_shards(dataset)
    base = EarlierClips()
    if config.append:
        base = read_earlier_clips(dataset)
        plan = plan_new_clips(plan, base, config)
        earlier = base.manifest if plan.clips.empty else None
    else:
        earlier = None if config.overwrite else earlier_dataset(dataset, config, plan, existing)
    if earlier is not None and _is_complete(dataset, earlier, existing):
        (dataset / UNFINISHED_NAME).remove_file()  # left by a kill after the manifest
        return earlier
    if not is_checked:
        preflight.connect(config.requirements)
    return _make_dataset(dataset, config, plan, existing, base)


def _is_complete(dataset: Location, manifest: Manifest, existing: dict[str, int]) -> bool:
    """Return whether no file of a dataset is missing."""
    embedding = manifest.embedding
    has_network = embedding is None or (dataset / embedding.file_name).is_file()
    return has_network and existing == {shard.path: shard.num_bytes for shard in manifest.shards}


def _make_dataset(
    dataset: Location,
    config: PreprocessConfig,
    plan: DatasetPlan,
    existing: dict[str, int],
    earlier: EarlierClips,
) -> Manifest:
    """Make the planned shards, of which some may exist, beside earlier ones.

    Needs an initialized Ray.
    """
    clips, without_windows = find_windows(plan.clips, config, plan.background_label)
    if clips.empty:
        path, reason = without_windows.iloc[0]
        raise UserError(
            f"none of the {plan.clips['path'].nunique()} files can be read; the first is {path} "
            f"({reason}): repair them, or give other files"
        )
    shards = ShardPlans(
        clips, plan.classes, config, plan.background_label, plan.embedding, earlier.paths
    )
    unused = existing.keys() - shards.paths - earlier.paths
    run_mark = _begin(dataset, config, plan, unused, is_new=earlier.manifest is None)
    found = pd.concat([plan.rejected, without_windows], ignore_index=True)
    num_sources = len(plan.clips) + len(plan.rejected) + earlier.num_files
    limit = config.max_quarantined_fraction
    _write_quarantine([], dataset, found, num_sources, limit)  # refuses too many before the work
    written = [*earlier.written, *_write_shards(shards, dataset)]
    rejected = _write_quarantine(written, dataset, found, num_sources, limit)
    _write_warnings(written, dataset)
    all_clips = pd.concat([earlier.clips, clips], ignore_index=True)
    manifest = make_manifest(config, plan, all_clips, written, rejected)
    # Imported here for matplotlib: the workers import this module too.
    from freqquest.dataset.figures import draw_figures

    draw_figures(dataset, manifest)
    if (dataset / UNFINISHED_NAME).read_text() != run_mark:
        raise UserError(
            f"another run has begun to write {dataset}: let one finish, then run the other again"
        )
    manifest.save(dataset)
    (dataset / UNFINISHED_NAME).remove_file()
    return manifest


def _begin(
    dataset: Location,
    config: PreprocessConfig,
    plan: DatasetPlan,
    unused: set[str],
    *,
    is_new: bool,
) -> str:
    """Mark the folder as unfinished, remove what this run will not use, and return the mark.

    The pretrained network is written for the workers. The manifest of a dataset that gets more
    clips stays until then.
    """
    run_mark = json.dumps({"settings": run_settings(config, plan), "run": uuid.uuid4().hex})
    (dataset / UNFINISHED_NAME).write_text(run_mark)
    dataset.remove_staged()
    if is_new:
        unused = {*unused, MANIFEST_NAME, *FILE_NAMES}
    for path in unused:
        (dataset / path).remove_file()
    if is_new and plan.embedding is not None:
        (dataset / plan.embedding.file_name).write_bytes(plan.network)
    return run_mark


def _write_shards(shards: ShardPlans, dataset: Location) -> list[WrittenShard]:
    """Make the shards in a Ray Data pipeline, and return them in the order of the plan.

    Raises:
        OSError: A shard cannot be made because storage fails.
    """
    import ray
    import ray.data

    connection.configure("data")
    shared = ray.put(shards)  # workers read their rows from it, so that no task carries any
    tasks = [{"numbers": numbers} for numbers in _divide(len(shards), capacity.num_cores())]
    pipeline = ray.data.from_items(tasks, override_num_blocks=len(tasks)).flat_map(
        partial(_write_planned, shared=shared, dataset=dataset)
    )
    written: dict[int, WrittenShard] = {}
    with Progress("preprocess", shards.num_rows, "clips") as progress:
        for row in pipeline.iter_rows():
            if row["problem"]:
                raise OSError(
                    f"{dataset / shards[row['number']].path} cannot be made: {row['problem']}"
                )
            written[row["number"]] = row["written"]
            progress.update(row["num_clips"])
    return [written[number] for number in range(len(shards))]


def _divide(num_shards: int, num_cores: float) -> list[range]:
    """Return each task's shards: later tasks make fewer, so that all cores end together."""
    tasks, start = [], 0
    while start < num_shards:
        length = math.ceil((num_shards - start) / (2 * num_cores))
        tasks.append(range(start, start + min(max(1, length), _MAX_SHARDS_PER_TASK)))
        start = tasks[-1].stop
    return tasks


def _write_planned(
    row: dict[str, range], shared: "ray.ObjectRef[ShardPlans]", dataset: Location
) -> Iterator[_Result]:
    """Make a task's shards until one fails.

    The error is yielded, as Ray would wrap an exception into a page of text.
    """
    import ray

    plans = ray.get(shared)
    for number in row["numbers"]:
        plan = plans[number]
        result = _Result(number=number, num_clips=len(plan.clips), written=None, problem="")
        try:
            result["written"] = write_shard(plan, dataset)
        except OSError as error:
            result["problem"] = error.strerror or str(error)
        except UserError as error:  # this node has no runtime of the pretrained network
            result["problem"] = str(error)
        yield result
        if result["problem"]:
            return


def _write_quarantine(
    written: list[WrittenShard],
    dataset: Location,
    found: pd.DataFrame,
    num_sources: int,
    max_fraction: float,
) -> pd.DataFrame:
    """Write quarantine.csv, the table of rejected clips, and return it.

    Args:
        written: Shards, with the clips that could not be read.
        dataset: Folder of the dataset.
        found: Table of `path` and `reason` of what was rejected before.
        num_sources: Number of files, or of annotated sounds, with those rejected before.
        max_fraction: Largest fraction of rejected clips.

    Raises:
        UserError: The fraction of rejected clips is above the limit. One clip is always allowed,
            unless the limit is 0.
    """
    rows = pd.DataFrame(
        [row for shard in written for row in shard.statistics.quarantined],
        columns=["path", "reason"],
    )
    rejected = pd.concat([found, rows.drop_duplicates()], ignore_index=True)
    write_csv(rejected, dataset / QUARANTINE_NAME)
    if are_too_many(len(rejected), num_sources, max_fraction):
        raise UserError(
            f"{len(rejected)} of {num_sources} clips were rejected, more than "
            f"`max_quarantined_fraction={max_fraction}` allows; the first is {rejected['path'][0]} "
            f"({rejected['reason'][0]}), all are listed in {dataset / QUARANTINE_NAME}; fix or "
            "remove them, or raise the fraction; the finished shards are kept"
        )
    return rejected


def _write_warnings(written: list[WrittenShard], dataset: Location) -> None:
    """Write warnings.csv, the table of clips that may be useless, if there are any."""
    rows = [row for shard in written for row in shard.statistics.warnings]
    if rows:
        write_csv(pd.DataFrame(rows), dataset / WARNINGS_NAME)
    else:
        (dataset / WARNINGS_NAME).remove_file()
