"""The manifest of a dataset whose shards are written: counts and statistics of its clips."""

from collections import Counter

import numpy as np
import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.file_names import count_files
from freqquest.dataset.labels import class_names, have_several, single_labels
from freqquest.dataset.manifest import FORMAT_VERSION, SPLITS, Manifest, Normalization
from freqquest.dataset.plan import DatasetPlan
from freqquest.dataset.shard import WrittenShard
from freqquest.dataset.split import describe_windows
from freqquest.errors import UserError
from freqquest.runs.layout import QUARANTINE_NAME


def make_manifest(
    config: PreprocessConfig,
    plan: DatasetPlan,
    clips: pd.DataFrame,
    written: list[WrittenShard],
    rejected: pd.DataFrame,
) -> Manifest:
    """Describe the written shards.

    Args:
        config: Settings of the dataset.
        plan: Plan of the dataset.
        clips: Its clips, as they were to be written: windows of files, without augmented copies.
        written: Its shards, in the order of the plan.
        rejected: Table of `path` and `reason` of everything that is not in them.

    Raises:
        UserError: A class has no readable clip in training or validation.
    """
    lost = {row["clip_id"] for shard in written for row in shard.statistics.quarantined}
    kept = clips[~clips["clip_id"].isin(lost)]
    _require_every_class(kept, plan.classes, rejected, config.dataset_dir)
    entries = [shard.entry for shard in written if shard.entry is not None]
    entries.sort(key=lambda entry: (SPLITS.index(entry.split), entry.name))
    statistics = [shard.statistics for shard in written]
    split_note, window_notes = _describe_windows(clips, plan, config)
    return Manifest(
        version=FORMAT_VERSION,
        settings=plan.settings,
        sources_sha256=plan.sources_sha256,
        classes=plan.classes,
        background_label=plan.background_label,
        embedding=plan.embedding,
        clip=config.clip,
        windows=config.window_config,
        views=config.views,
        split_description=plan.split_description + split_note,
        num_clips=_count(kept, "clip_id"),
        num_recordings=_count(kept, "recording"),
        num_rows={
            split: sum(entry.num_rows for entry in entries if entry.split == split)
            for split in SPLITS
        },
        seconds=_seconds(written),
        sample_rates=dict(sum((Counter(shard.sample_rates) for shard in statistics), Counter())),
        num_quarantined=len(rejected),
        has_several_labels=bool(have_several(kept["label"]).any()),
        num_warnings=sum(len(shard.warnings) for shard in statistics),
        num_cut=sum(shard.num_cut for shard in statistics),
        num_padded=sum(shard.num_padded for shard in statistics),
        notes=[*plan.notes, *window_notes],
        normalization={view: _normalization(written, view) for view in config.views},
        shards=entries,
    )


def _describe_windows(
    clips: pd.DataFrame, plan: DatasetPlan, config: PreprocessConfig
) -> tuple[str, list[str]]:
    """Return a note on the split of windows, if they are far from it, and lines on their number."""
    if config.windows == "first" and plan.background_label is None:
        return "", []
    windows, whose = clips, "windows"
    if config.windows == "first":  # the background alone has windows
        windows = clips[(clips["label"] == plan.background_label).fillna(False).astype(bool)]
        whose = f"windows of class {plan.background_label}"
    line = f"{whose}: {len(windows):,}, of {count_files(windows['path'].nunique())}"
    return describe_windows(clips, plan.clips, config.validation_fraction), [line]


def _require_every_class(
    clips: pd.DataFrame, classes: list[str], rejected: pd.DataFrame, dataset_dir: str
) -> None:
    for split in ("train", "validation"):
        lost = set(classes) - set(class_names(clips["label"][clips["split"] == split]))
        if lost:
            raise UserError(
                f"class {min(lost)} has no readable clip in the split {split}; the first rejected "
                f"file is {rejected['path'].iloc[0]} ({rejected['reason'].iloc[0]}), all are "
                f"listed in {dataset_dir}/{QUARANTINE_NAME}: repair them, or remove the class"
            )


def _count(clips: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """Count the distinct values of a column by split and class."""
    counts: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    by_label = clips[["split", column]].join(single_labels(clips["label"].fillna("")))
    for (split, label), group in by_label.groupby(["split", "label"]):
        counts[str(split)][str(label)] = int(group[column].nunique())
    return counts


def _seconds(entries: list[WrittenShard]) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, float]] = {split: {} for split in SPLITS}
    for shard in entries:
        if shard.entry is not None:
            of_split = seconds[shard.entry.split]
            for label, duration_s in shard.statistics.seconds.items():
                of_split[label] = of_split.get(label, 0.0) + duration_s
    return seconds


def _normalization(written: list[WrittenShard], view: str) -> Normalization:
    """Compute a view's statistics over the training split only, as validation must be unseen."""
    train = [shard for shard in written if shard.entry is not None and shard.entry.split == "train"]
    count, total, squares = np.sum([shard.statistics.moments[view] for shard in train], axis=0)
    mean = total.sum() / count.sum()
    variance = squares.sum() / count.sum() - mean**2
    band_variances = squares / count - np.square(total / count)
    return Normalization(
        mean=float(mean),
        standard_deviation=float(np.sqrt(max(variance, 0.0))),
        band_means=(total / count).tolist(),
        band_standard_deviations=np.sqrt(np.maximum(band_variances, 0.0)).tolist(),
    )
