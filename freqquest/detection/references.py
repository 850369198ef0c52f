"""Annotated sounds of recordings, which detected events are compared with.

pandas only, no Ray. Sounds may overlap, whatever their labels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.dataset.annotation_rows import read_annotation_rows, rejected_rows
from freqquest.dataset.file_names import count_files
from freqquest.dataset.labels import single_labels
from freqquest.dataset.manifest import LABEL_SEPARATOR
from freqquest.dataset.tree import Tree
from freqquest.errors import UserError

REFERENCE_COLUMNS = ("path", "start_s", "end_s", "label")
"""Columns of a table of annotated sounds: path relative to the audio folder, times in seconds."""

END_TOLERANCE_S = 0.05
"""Time by which an annotation may end after its file: annotation programs round times."""

_MAX_SHOWN = 10
"""Reasons, or labels, that the notes name one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """Annotated sounds, and the recordings that they are complete for."""

    events: pd.DataFrame
    """Table with REFERENCE_COLUMNS, sorted, one row per sound and label that the model knows."""

    durations_s: dict[str, float]
    """Length in seconds of each annotated recording by its path, also of those without a sound.

    A recording is annotated if a usable annotation is in it, of any label, if its own file of
    annotations is empty, or if a CSV has a line with its path alone.
    """

    num_unannotated: int
    """Number of recordings that the annotations do not mention; they cannot be scored."""

    rejected: pd.DataFrame
    """Table of `path` and `reason`, with file and line, for annotations that were left out."""

    notes: list[str]
    """Lines for the job's summary: what was read, and what was left out."""


def read_references(
    tree: Tree,
    annotations: str,
    durations_s: Mapping[str, float],
    classes: Collection[str],
    *,
    columns: Mapping[str, str] | None = None,
    label_separator: str = LABEL_SEPARATOR,
) -> References:
    """Read the annotated sounds of recordings.

    Annotations that name no part of a recording are left out, and named by file and line: those of
    unknown files, without a length, or that end more than END_TOLERANCE_S after their file.

    Args:
        tree: Files of the audio folder.
        annotations: Path or URI of a CSV with the columns path, start_s, end_s and label, of an
            Audacity label file or a Raven selection table, or of a folder of them.
        durations_s: Length in seconds of each recording that was analyzed, by its path relative to
            the audio folder.
        classes: Labels that the model knows; others are counted and left out.
        columns: Columns that the user names, by role, as in dataset.config.COLUMN_SETTINGS.
        label_separator: Separator of several labels of a sound.

    Raises:
        UserError: No recording is annotated, or a file of annotations is invalid.
    """
    annotated = read_annotation_rows(
        tree, annotations, columns or {}, label_separator, may_lack_sounds=True
    )
    files = tree.clips["clip_id"]
    rows = annotated.rows.assign(path=_paths(annotated.rows, files))
    says_no_sound = _say_no_sound(rows)
    lengths = rows["path"].map(durations_s).astype(float)
    rows["reason"] = _why_left_out(rows, lengths).mask(says_no_sound, "")
    rejected = rejected_rows(rows)
    usable = rows[rows["reason"] == ""]
    mentioned = {*usable["path"], *files.iloc[annotated.without_rows]}
    scored = {path: durations_s[path] for path in sorted(mentioned) if path in durations_s}
    if not scored:
        first = f": {rejected['reason'].iloc[0]}" if len(rejected) else ""
        raise UserError(
            f"`annotations={annotations}` has no usable annotation of the {len(durations_s)} "
            f"recordings{first}; give annotations of these recordings"
        )
    sounds = _split_labels(rows[(rows["reason"] == "") & ~says_no_sound], durations_s)
    is_known = sounds["label"].isin(list(classes))
    if len(sounds) and not is_known.any():
        raise UserError(
            f"`annotations={annotations}` names none of the model's classes, "
            f"{', '.join(classes)}: its labels are {_count_labels(sounds['label'])}"
        )
    num_unannotated = len(durations_s) - len(scored)
    notes = [*annotated.notes, *_describe_left_out(rows), *_describe_labels(sounds[~is_known])]
    if num_unannotated:
        notes.append(f"not in the scores, as not annotated: {count_files(num_unannotated)}")
    return References(
        events=sounds[is_known].reset_index(drop=True),
        durations_s=scored,
        num_unannotated=num_unannotated,
        rejected=rejected,
        notes=notes,
    )


def _paths(rows: pd.DataFrame, files: pd.Series) -> pd.Series:
    """Return the path of each row's audio file; missing if there is none."""
    positions = rows["position"].to_numpy(int)
    paths = pd.Series(pd.NA, rows.index, dtype=str)
    paths[positions >= 0] = files.iloc[positions[positions >= 0]].array
    return paths


def _say_no_sound(rows: pd.DataFrame) -> pd.Series:
    """Return which rows have a path alone: their recording was annotated and has no sound."""
    return rows["path"].notna() & rows[["start_s", "end_s", "label"]].isna().all(axis=1)


def _why_left_out(rows: pd.DataFrame, lengths: pd.Series) -> pd.Series:
    """Return the reason to leave out each row, given the length of its recording; empty if none."""
    reasons = rows["reason"]
    is_open = reasons == ""
    is_beyond = (rows["end_s"] > lengths + END_TOLERANCE_S) | (rows["start_s"] >= lengths)
    ends = rows["end_s"].map("it ends at {:.3f} s, but its file ".format)
    reasons = reasons.mask(
        is_open & is_beyond, ends.astype(str) + lengths.map("is {:.3f} s long".format).astype(str)
    )
    reasons = reasons.mask(is_open & lengths.isna(), "its file was not analyzed")
    reasons = reasons.mask(is_open & rows["label"].isna(), "no label")
    columns = list(REFERENCE_COLUMNS)
    is_repeated = rows[reasons == ""].duplicated(columns).reindex(rows.index, fill_value=False)
    return reasons.mask(is_repeated, "it repeats another annotation")


def _split_labels(rows: pd.DataFrame, durations_s: Mapping[str, float]) -> pd.DataFrame:
    """Return a sorted table with REFERENCE_COLUMNS, with a row for each label of a sound."""
    labels = single_labels(rows["label"])
    sounds = rows.loc[labels.index].assign(label=labels)[list(REFERENCE_COLUMNS)]
    ends = np.minimum(sounds["end_s"], sounds["path"].map(durations_s).astype(float))
    sounds = sounds.assign(end_s=ends).drop_duplicates()
    return sounds.sort_values(list(REFERENCE_COLUMNS), ignore_index=True)


def _describe_left_out(rows: pd.DataFrame) -> list[str]:
    """Return a line for each reason, with the place of its first row."""
    left_out = rows[rows["reason"] != ""]
    is_beyond = left_out["reason"].str.startswith("it ends at ")
    left_out = left_out.loc[is_beyond.sort_values(ascending=False, kind="stable").index]
    groups = list(left_out.groupby("reason", sort=False))
    lines = []
    for reason, group in groups[:_MAX_SHOWN]:
        first = group.iloc[0]
        others = f" (and {len(group) - 1:,} more)" if len(group) > 1 else ""
        lines.append(f"left out: {first['source']} line {first['line']}{others}: {reason}")
    if num_more := sum(len(group) for _, group in groups[_MAX_SHOWN:]):
        lines.append(f"left out: {num_more:,} more annotations")
    return lines


def _describe_labels(unknown: pd.DataFrame) -> list[str]:
    """Return the line about labels that the model does not know."""
    if unknown.empty:
        return []
    counts = _count_labels(unknown["label"])
    return [f"not in the scores, as the model does not know them: {counts}"]


def _count_labels(labels: pd.Series) -> str:
    """Return the commonest labels with their numbers of sounds."""
    counts = labels.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    shown = [f"{label} ({count:,})" for label, count in counts.head(_MAX_SHOWN).items()]
    others = [f"{num_more:,} others"] if (num_more := len(counts) - _MAX_SHOWN) > 0 else []
    return ", ".join(shown + others)
