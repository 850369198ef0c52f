"""Clips that a dataset has already, to which `append` adds others without touching its shards."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.earlier_dataset import changed_from
from freqquest.dataset.labels import class_names
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest, load_manifest
from freqquest.dataset.plan import DatasetPlan
from freqquest.dataset.read import read_rows
from freqquest.dataset.shard import WrittenShard, read_written
from freqquest.dataset.split import count_groups
from freqquest.dataset.stratify import divide_groups
from freqquest.errors import UserError
from freqquest.storage import Location

_COLUMNS = ["clip_id", "path", "start_s", "label", "recording", "fold", "split"]


@dataclass(frozen=True)
class EarlierClips:
    """Clips of a finished dataset; none of a new one."""

    manifest: Manifest | None = None
    clips: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_COLUMNS))
    """Table of clips, as in a plan, without augmented copies."""
    written: list[WrittenShard] = field(default_factory=list)
    """Their shards."""

    @property
    def paths(self) -> set[str]:
        """Paths of the shards, relative to the dataset's folder."""
        return {shard.entry.path for shard in self.written if shard.entry is not None}

    @property
    def num_files(self) -> int:
        """Number of files."""
        return int(self.clips["path"].nunique())


def read_earlier_clips(dataset: Location) -> EarlierClips:
    """Read the clips of a finished dataset.

    Raises:
        UserError: There is no dataset, it is not complete, or is of an earlier format.
    """
    manifest = load_manifest(dataset)
    rows = read_rows(dataset, manifest)
    clips = rows[rows["augmentation"] == NOT_AUGMENTED][_COLUMNS].reset_index(drop=True)
    paths = set(clips["path"])
    written = [_without_retried(read_written(dataset, shard), paths) for shard in manifest.shards]
    return EarlierClips(manifest, clips, written)


def _without_retried(shard: WrittenShard, paths: set[str]) -> WrittenShard:
    """Forget rejected clips of files that count as new, because the dataset has nothing of them."""
    rejected = [row for row in shard.statistics.quarantined if row["path"] in paths]
    return replace(shard, statistics=replace(shard.statistics, quarantined=rejected))


def plan_new_clips(
    plan: DatasetPlan, earlier: EarlierClips, config: PreprocessConfig
) -> DatasetPlan:
    """Return the plan of those clips that are new, with the classes of all.

    A recording that is known stays in its split. New classes come after the known ones, whose
    numbers are in the shards.

    Args:
        plan: Plan of all clips of the folder.
        earlier: Clips of the dataset.
        config: Settings of the dataset.

    Raises:
        UserError: The dataset was made with other settings, or has a background and there are new
            classes.
    """
    manifest = earlier.manifest
    assert manifest is not None
    _require_same(plan, manifest, config)
    _refuse_changed(plan.clips, earlier.clips)
    _refuse_new_parts(plan.clips, earlier)
    splits = _splits(plan.clips, earlier.clips, config)
    known = set(earlier.clips["path"])
    is_new = ~plan.clips["path"].isin(known).to_numpy()
    clips = plan.clips.assign(split=splits)[is_new].reset_index(drop=True)
    learned = clips["label"][clips["split"] != "test"]
    new_classes = sorted(set(class_names(learned)) - set(manifest.classes))
    if new_classes and manifest.background_label is not None:
        raise UserError(
            f"`append`: class {new_classes[0]} is new, and a dataset with a background takes no "
            "new classes: make a new dataset"
        )
    num_gone = len(known - set(plan.clips["path"]))
    notes = [f"appended: {len(clips):,} to {len(earlier.clips):,} clips"]
    if num_gone:
        notes.append(f"gone: {num_gone:,} files of the dataset are not in the folder any more")
    return replace(
        plan,
        clips=clips,
        classes=[*manifest.classes, *new_classes],
        split_description=manifest.split_description,
        notes=[*plan.notes, *notes],
    )


def _require_same(plan: DatasetPlan, manifest: Manifest, config: PreprocessConfig) -> None:
    changed = changed_from(manifest, config, plan)
    if not changed and manifest.background_label != plan.background_label:
        changed = [f"the class {plan.background_label}, which was no background then"]
    if changed:
        raise UserError(
            f"`append`: the dataset was made differently: {', '.join(changed)}; repeat its "
            "settings, or make a new dataset"
        )


def _refuse_changed(clips: pd.DataFrame, known: pd.DataFrame) -> None:
    """Refuse other labels or recordings of files that are in the dataset."""
    if clips["end_s"].notna().any():
        return  # each part of a file has a label of its own
    both = known.drop_duplicates("path").merge(clips, on="path", suffixes=("", "_now"))
    for name in ("label", "recording"):
        changed = both[(both[name] != both[f"{name}_now"]) & both[name].notna()]
        if len(changed):
            first = changed.iloc[0]
            raise UserError(
                f"`append`: the {name} of {first['path']} is {first[f'{name}_now']} now, and "
                f"{first[name]} in the dataset: name it as before, or make a new dataset"
            )


def _refuse_new_parts(clips: pd.DataFrame, earlier: EarlierClips) -> None:
    """Refuse annotations that are new in files of which the dataset has clips."""
    of_known = clips[clips["end_s"].notna() & clips["path"].isin(earlier.clips["path"])]
    rejected = {row["path"] for shard in earlier.written for row in shard.statistics.quarantined}
    known = set(zip(earlier.clips["path"], earlier.clips["start_s"].round(3), strict=True))
    for path, start_s in zip(of_known["path"], of_known["start_s"].round(3), strict=True):
        if (path, start_s) not in known and path not in rejected:
            raise UserError(
                f"`append`: the sound at {start_s:g} s of {path} is new, but the dataset has other "
                "sounds of this file: make a new dataset"
            )


def _splits(clips: pd.DataFrame, known: pd.DataFrame, config: PreprocessConfig) -> pd.Series:
    """Return the split of each clip, where known recordings stay in theirs."""
    column = "clip_id" if config.split == "random" else "recording"
    learned = known[known["split"] != "test"]
    earlier = clips[column].map(learned.drop_duplicates(column).set_index(column)["split"])
    is_learned = clips["split"] != "test"
    is_new = earlier.isna() & is_learned
    splits = earlier.where(earlier.notna() & is_learned, clips["split"])
    if (splits == clips["split"]).all() or not is_new.any():
        return splits  # by the user's own folds or splits
    new = clips[is_new]
    if new["fold"].notna().all():
        folds = learned["fold"][learned["split"] == "validation"].unique()
        is_validation = new["fold"].isin(folds).to_numpy()
    else:
        is_validation = _draw(new, new[column], config)
    splits[is_new] = np.where(is_validation, "validation", "train")
    return splits


def _draw(clips: pd.DataFrame, groups: pd.Series, config: PreprocessConfig) -> np.ndarray:
    """Return which clips are for validation: about the same fraction of each class."""
    numbers, counts, _ = count_groups(clips, groups)
    fraction = config.validation_fraction
    parts = divide_groups(counts, (1 - fraction, fraction), config.seed)
    is_validation: np.ndarray = parts[numbers] == 1
    return is_validation
