"""The rows of annotations, each with the audio file it belongs to and whether it is usable.

pandas only. `annotations.py` makes clips of them, the detection's evaluation makes references.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pandas as pd

from freqquest.dataset.annotation_files import read_annotation_file
from freqquest.dataset.file_names import (
    NO_FILE,
    SEVERAL_FILES,
    count_files,
    match_files,
    names,
    tidy,
)
from freqquest.dataset.labels import join_labels
from freqquest.dataset.tree import Tree, as_table, describe_rejected
from freqquest.errors import UserError
from freqquest.storage import Location, locate

_ENDINGS = (".txt", ".csv", ".tsv")

_NOT_IN_AUDIO_NAME = r"(?i)(?:\.Table\.\d+)?(?:\.selections?)?\.(?:txt|csv|tsv)$"
"""Part of an annotation file's name that its audio file's name lacks; the first two are Raven's."""

_NO_ANNOTATIONS = (
    "it must be a CSV with the columns path, start_s, end_s and label, an Audacity label file, or "
    "a Raven selection table with a column of labels (Species, Annotation, Label or `label_column`)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationRows:
    """All rows of a file or a folder of annotations."""

    rows: pd.DataFrame
    """Table with annotation_files.COLUMNS and one row per annotated sound.

    `source` and `line` are the row's place, `cell` is the audio file as the row names it, else the
    file of annotations. `position` is that of the audio file among the tree's clips, else NO_FILE
    or SEVERAL_FILES. `reason` says why the row names no part of a file; empty for the others.
    """

    without_rows: np.ndarray
    """Sorted positions of the audio files whose own file of annotations has no row."""

    notes: list[str]
    """Lines for the job's summary."""


def read_annotation_rows(
    tree: Tree,
    annotations: str,
    chosen: Mapping[str, str],
    label_separator: str,
    *,
    may_lack_sounds: bool = False,
) -> AnnotationRows:
    """Read annotations and find the audio file of each.

    Args:
        tree: Files of the audio folder.
        annotations: Path or URI of a file of annotations, or of a folder of them.
        chosen: Columns that the user names, by role.
        label_separator: Separator of several labels of a sound.
        may_lack_sounds: Accept annotations without any row if they belong to an audio file.

    Raises:
        UserError: There are no annotations of these files, or a file of them is invalid.
    """
    place = locate(annotations)
    rows, stems, notes = _read_all(tree, place, chosen, label_separator)
    files = tree.clips["clip_id"]
    of_stems = _match_stems(pd.Series(stems, dtype=str), files).to_numpy()
    without_rows = np.unique(of_stems[of_stems >= 0])
    if rows.empty and not (may_lack_sounds and len(without_rows)):
        raise UserError(
            f"`annotations={place}` has no annotations: give a CSV with the columns path, start_s, "
            "end_s and label, or a folder of Audacity label files or Raven selection tables"
        )
    positions = _locate_rows(rows, files, str(tree.root))
    if (positions == NO_FILE).all() and not (may_lack_sounds and len(without_rows)):
        _refuse_others(annotations, rows, tree)
    reasons = _why_rejected(rows, positions, tree)
    return AnnotationRows(
        rows=rows.assign(position=positions, reason=reasons),
        without_rows=without_rows,
        notes=notes,
    )


def rejected_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of AnnotationRows that have a reason, as a table of `path` and `reason`."""
    rejected = rows[rows["reason"] != ""]
    reasons = rejected["source"] + " line " + rejected["line"].astype(str) + ": "
    return as_table(zip(rejected["cell"], reasons + rejected["reason"], strict=True))


def _read_all(
    tree: Tree, place: Location, chosen: Mapping[str, str], label_separator: str
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Read all files of annotations.

    Returns:
        The rows without `position` and `reason`, the names without ending of files of annotations
        that have no row, and lines for the summary.
    """
    stems = _audio_stems(tree)
    tables, kinds, notes, num_others = [], Counter[str](), list[str](), 0
    without_rows = []
    for file, relative in _annotation_files(place):
        shown = f"`annotations={place}`" if file == place else f"{file} (of `annotations`)"
        stem = pd.Series([relative], dtype=str).str.replace(_NOT_IN_AUDIO_NAME, "", regex=True)[0]
        table = read_annotation_file(file, shown, chosen)
        if table is None:
            if file == place or stem.rsplit("/", 1)[-1].lower() in stems:
                raise UserError(f"{shown} has no annotations: {_NO_ANNOTATIONS}")
            num_others += 1
            continue
        rows, kind, more = table
        labels = join_labels(rows["label"], label_separator, shown)
        cells = rows["file"].fillna(str(file))
        tables.append(
            rows.assign(label=labels, source=str(file), line=rows.index, cell=cells, stem=stem)
        )
        without_rows += [stem] * rows.empty
        kinds[kind] += 1
        notes += more
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    del kinds[""]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    others = f"; not annotations: {count_files(num_others)}" if num_others else ""
    return rows, without_rows, [f"annotations: {len(rows):,} in {counts}{others}", *notes]


def _annotation_files(place: Location) -> Iterator[tuple[Location, str]]:
    """Yield the files that may hold annotations, with their paths relative to the folder."""
    if not place.exists():
        raise UserError(f"`annotations={place}` does not exist: give a file or a folder of them")
    if not place.is_dir():
        yield place, place.name
        return
    for entry in place.walk():
        if entry.problem:
            raise UserError(
                f"`annotations={place}` holds {entry.path}, which cannot be read "
                f"({entry.problem}): fix or remove it"
            )
        if not entry.is_dir and entry.path.lower().endswith(_ENDINGS):
            yield place / entry.path, entry.path


def _refuse_others(annotations: str, rows: pd.DataFrame, tree: Tree) -> NoReturn:
    """Refuse annotations of other files."""
    files = tree.clips["clip_id"]
    begins = f"the files with {files.iloc[0]}" if len(files) else "and there is no audio file"
    raise UserError(
        f"`annotations={annotations}` names none of the {len(files)} audio files: it begins with "
        f"{rows['cell'].iloc[0]}, {begins}; give the annotations of these files"
        f"{describe_rejected(tree.rejected)}"
    )


def _audio_stems(tree: Tree) -> set[str]:
    stems = names(tree.clips["clip_id"]).str.replace(r"\.[^.]*$", "", regex=True)
    return set(stems.str.lower())


def _locate_rows(rows: pd.DataFrame, files: pd.Series, root: str) -> pd.Series:
    """Return the position of each row's audio file, else NO_FILE or SEVERAL_FILES.

    Rows that name none belong to the audio file that is named as their file of annotations.
    """
    positions = match_files(tidy(rows["file"], root), files)
    is_unnamed = rows["file"].isna()
    positions[is_unnamed] = _match_stems(rows["stem"][is_unnamed], files)
    return positions


def _match_stems(stems: pd.Series, files: pd.Series) -> pd.Series:
    """Return the position of the audio file that is named as each file of annotations."""
    positions = match_files(stems, files)
    is_lost = positions == NO_FILE  # the folder of labels may be flat
    positions[is_lost] = match_files(names(stems[is_lost]), files)
    return positions


def _why_rejected(rows: pd.DataFrame, positions: pd.Series, tree: Tree) -> pd.Series:
    """Return the reason to reject each row; empty for the others."""
    start_s, end_s = rows["start_s"], rows["end_s"]
    reasons = pd.Series("", rows.index, dtype=str)
    for is_wrong, reason in (
        (end_s == start_s, "its length is zero"),
        (end_s < start_s, "it ends before it starts"),
        (start_s < 0, "it starts before the file"),
        (start_s.isna() | end_s.isna(), "its start or end is not a number of seconds"),
        (positions == SEVERAL_FILES, "its name is that of several audio files: give the path"),
        (positions == NO_FILE, f"no audio file of this name below {tree.root}"),
    ):
        reasons = reasons.mask(is_wrong, reason)
    return reasons
