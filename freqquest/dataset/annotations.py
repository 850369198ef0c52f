"""Clips that are parts of files, from time-stamped labels.

pandas only. Each annotated sound becomes a clip, `path#start`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NoReturn

import pandas as pd

from freqquest.dataset.annotation_files import COLUMNS, read_annotation_file
from freqquest.dataset.file_names import (
    NO_FILE,
    SEVERAL_FILES,
    count_files,
    match_files,
    names,
    tidy,
)
from freqquest.dataset.labels import join_labels
from freqquest.dataset.tree import Sources, Tree, as_table, describe_rejected, part_ids
from freqquest.errors import UserError
from freqquest.storage import Location, locate

_ENDINGS = (".txt", ".csv", ".tsv")

_NOT_IN_AUDIO_NAME = r"(?i)(?:\.Table\.\d+)?(?:\.selections?)?\.(?:txt|csv|tsv)$"
"""Part of an annotation file's name that its audio file's name lacks; the first two are Raven's."""

_NO_ANNOTATIONS = (
    "it must be a CSV with the columns path, start_s, end_s and label, an Audacity label file, or "
    "a Raven selection table with a column of labels (Species, Annotation, Label or `label_column`)"
)


def find_annotated(
    tree: Tree, annotations: str, chosen: Mapping[str, str], label_separator: str
) -> Sources:
    """Return the annotated parts of files, and reject annotations that name no part.

    Of two sounds with different labels that overlap, the second is rejected.

    Args:
        tree: Files of the audio folder.
        annotations: Path or URI of a file of annotations, or of a folder of them.
        chosen: Columns that the user names, by role.
        label_separator: Separator of several labels of a sound.

    Raises:
        UserError: There are no annotations of these files, or a file of them is invalid.
    """
    rows, notes = _read_all(tree, locate(annotations), chosen, label_separator)
    files = tree.clips["clip_id"]
    positions = _locate_rows(rows, files, str(tree.root))
    if (positions == NO_FILE).all():
        _refuse_others(annotations, rows, tree)
    reasons = _why_rejected(rows, positions, tree)
    parts = _name_parts(rows[reasons == ""], positions[reasons == ""], files)
    clashes = _find_clashes(parts)
    reasons.update(clashes)
    parts = parts.drop(index=clashes.index)
    clips = tree.clips.iloc[parts["position"]].reset_index(drop=True)
    kept = ["clip_id", *COLUMNS[1:], "source"]
    clips[kept] = parts[kept].reset_index(drop=True)
    if num_unused := len(files) - parts["position"].nunique():
        notes.append(f"audio files without annotations: {num_unused:,}")
    rejected = rows.assign(reason=reasons)[reasons != ""]
    reasons = rejected["source"] + " line " + rejected["line"].astype(str) + ": "
    return Sources(
        clips=clips.sort_values("clip_id", ignore_index=True),
        rejected=as_table(zip(rejected["cell"], reasons + rejected["reason"], strict=True)),
        notes=notes,
        recordings_from="the annotations",
    )


def _read_all(
    tree: Tree, place: Location, chosen: Mapping[str, str], label_separator: str
) -> tuple[pd.DataFrame, list[str]]:
    """Read all files of annotations.

    Returns:
        Table with COLUMNS and `source`, `line` and `cell` (the audio file as the row names it, else
        the file of annotations), and lines for the summary.
    """
    stems = _audio_stems(tree)
    tables, kinds, notes, num_others = [], Counter[str](), list[str](), 0
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
        kinds[kind] += 1
        notes += more
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if rows.empty:
        raise UserError(
            f"`annotations={place}` has no annotations: give a CSV with the columns path, start_s, "
            "end_s and label, or a folder of Audacity label files or Raven selection tables"
        )
    del kinds[""]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    others = f"; not annotations: {count_files(num_others)}" if num_others else ""
    return rows, [f"annotations: {len(rows):,} in {counts}{others}", *notes]


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
    paths = tidy(rows["file"], root)
    positions = match_files(paths, files)
    for stems in (rows["stem"], names(rows["stem"])):  # the folder of labels may be flat
        is_lost = rows["file"].isna() & (positions == NO_FILE)
        positions[is_lost] = match_files(stems[is_lost], files)
    return positions


def _why_rejected(rows: pd.DataFrame, positions: pd.Series, tree: Tree) -> pd.Series:
    """Return the reason to reject each row; empty for the others."""
    start_s, end_s = rows["start_s"], rows["end_s"]
    reasons = pd.Series("", rows.index, dtype=str)
    for is_wrong, reason in (
        (rows["label"].isna() & (rows["split"] != "test"), "no label"),
        (end_s == start_s, "its length is zero"),
        (end_s < start_s, "it ends before it starts"),
        (start_s < 0, "it starts before the file"),
        (start_s.isna() | end_s.isna(), "its start or end is not a number of seconds"),
        (positions == SEVERAL_FILES, "its name is that of several audio files: give the path"),
        (positions == NO_FILE, f"no audio file of this name below {tree.root}"),
    ):
        reasons = reasons.mask(is_wrong, reason)
    return reasons


def _name_parts(rows: pd.DataFrame, positions: pd.Series, files: pd.Series) -> pd.DataFrame:
    """Return annotated sounds with `clip_id` and the position of their file, sorted."""
    parts = rows.assign(file=files.iloc[positions].array, position=positions)
    parts["source"] += " line " + parts["line"].astype(str)
    parts["clip_id"] = part_ids(parts["file"], parts["start_s"])
    return parts.sort_values(["file", "start_s"], kind="stable")


def _find_clashes(parts: pd.DataFrame) -> pd.Series:
    """Return why sounds cannot be clips beside earlier ones of their file.

    Args:
        parts: Annotated sounds, sorted by file and start.
    """
    clashes: dict[int, str] = {}
    last_file, starts, ends = "", dict[str, str](), dict[str, tuple[float, str]]()
    places = parts["source"]
    columns = [parts[name] for name in ("file", "clip_id", "label", "start_s", "end_s")]
    for row, place, file, clip_id, label, start_s, end_s in zip(
        parts.index, places, *columns, strict=True
    ):
        if file != last_file:
            last_file, starts, ends = file, {}, {}
        overlapped = [
            where for other, (end, where) in ends.items() if other != label and end > start_s
        ]
        if overlapped:
            clashes[row] = f"it overlaps {overlapped[0]}, which has another label"
        elif clip_id in starts:
            clashes[row] = f"it starts with {starts[clip_id]}: keep one of them"
        else:
            starts[clip_id] = place
            ends[label] = max(ends.get(label, (0.0, "")), (end_s, place))
    return pd.Series(clashes, dtype=str)
