"""Clips that a CSV lists, or adds recordings, folds and splits to.

pandas only. Every row without a clip is rejected with its line.
"""

import pandas as pd

from freqquest.dataset.file_names import (
    NO_FILE,
    SEVERAL_FILES,
    are_inside,
    fitting_files,
    match_files,
    tidy,
)
from freqquest.dataset.metadata import Metadata, OtherTableError
from freqquest.dataset.tree import Sources, Tree, as_table, describe_rejected
from freqquest.errors import UserError


def find_listed(tree: Tree, metadata: Metadata) -> Sources:
    """Return the clips that a CSV lists and labels, and reject lines that name no clip.

    Raises:
        UserError: The CSV has no rows, or none of them names a clip, or one names several.
    """
    rows, clips = metadata.rows, tree.clips
    positions = _locate_rows(metadata, clips["clip_id"], str(tree.root))
    _require_some(metadata, positions, clips["clip_id"], tree.rejected)
    reasons = _why_rejected(metadata, positions, tree)
    rejected = [
        ("" if pd.isna(cell) else str(cell), f"{metadata.file} line {line}: {reason}")
        for line, cell, reason in zip(
            rows.index[reasons != ""],
            rows["file"][reasons != ""],
            reasons[reasons != ""],
            strict=True,
        )
    ]
    is_listed = clips.index.isin(positions)
    is_kept = reasons == ""
    kept = clips.iloc[positions[is_kept]].reset_index(drop=True)
    described = rows[is_kept].drop(columns="file").reset_index(drop=True)
    kept[list(described.columns)] = described
    unlisted = clips["path"][~is_listed]
    notes = list(metadata.notes)
    if metadata.format.lists_all:
        rejected += [(path, f"not in {metadata.file}") for path in unlisted]
    if len(unlisted):
        notes.append(f"audio files not in {metadata.file.name}: {len(unlisted):,}")
    return Sources(
        clips=kept.sort_values("clip_id", ignore_index=True),
        rejected=as_table(rejected),
        notes=notes,
        recordings_from=_place_of_recordings(metadata),
    )


def add_columns(sources: Sources, metadata: Metadata, root: str) -> Sources:
    """Add the recordings, folds and splits of a CSV without labels to clips that have labels."""
    clips, rows = sources.clips.copy(), metadata.rows
    positions = _locate_rows(metadata, clips["clip_id"], root)
    _require_some(metadata, positions, clips["clip_id"], sources.rejected)
    lost = rows["file"][positions < 0]
    rejected = [
        ("" if pd.isna(cell) else str(cell), f"{metadata.file} line {line}: {_no_file(root)}")
        for line, cell in lost.items()
    ]
    found = positions[positions >= 0]
    for role in ("recording", "fold", "split"):
        if role in metadata.columns:
            values = pd.Series(rows[role][positions >= 0].array, clips.index[found])
            clips[role] = values.reindex(clips.index)
    num_unlisted = len(clips) - len(found)
    unlisted = [f"audio files not in {metadata.file.name}: {num_unlisted:,}"] * bool(num_unlisted)
    return Sources(
        clips=clips,
        rejected=pd.concat([sources.rejected, as_table(rejected)], ignore_index=True),
        notes=[*sources.notes, *metadata.notes, *unlisted],
        recordings_from=_place_of_recordings(metadata),
    )


def _place_of_recordings(metadata: Metadata) -> str:
    column = metadata.columns.get("recording")
    return f"the column {column} of {metadata.file.name}" if column else ""


def _locate_rows(metadata: Metadata, files: pd.Series, root: str) -> pd.Series:
    """Return the position of each row's file, or NO_FILE.

    Raises:
        UserError: A row fits several files, or two rows have the same file.
    """
    cells = metadata.rows["file"]
    paths = tidy(cells, root)
    positions = match_files(cells.where(cells.isin(files), paths), files)
    several = positions.index[positions == SEVERAL_FILES]
    if len(several):
        fitting = " and ".join(fitting_files(paths[several[0]], files)[:2])
        raise UserError(
            f"{metadata.shown} line {several[0]} names {cells[several[0]]}, which is the name of "
            f"{fitting}: list the clips by path instead (columns path, label)"
        )
    repeated = positions[positions.duplicated() & (positions >= 0)]
    if len(repeated):
        raise UserError(
            f"{metadata.shown} line {repeated.index[0]} repeats {files.iloc[repeated.iloc[0]]}: "
            "keep one row per clip"
        )
    return positions


def _require_some(
    metadata: Metadata, positions: pd.Series, files: pd.Series, rejected: pd.DataFrame
) -> None:
    """Refuse a CSV of other clips.

    Raises:
        UserError: It has no rows, or none of them names a clip.
    """
    if positions.empty:
        raise OtherTableError(f"{metadata.shown} has no row below its header: list the clips in it")
    if (positions >= 0).any():
        return
    found = f"the clips with {files.iloc[0]}" if len(files) else "and there is no audio file"
    raise OtherTableError(
        f"{metadata.shown} names none of the {len(files)} clips in its column "
        f"{metadata.columns['file']}: it begins with {metadata.rows['file'].iloc[0]}, {found}; "
        "give the CSV of these clips, or the folder that its paths begin in"
        f"{describe_rejected(rejected)}"
    )


def _no_file(root: str) -> str:
    return f"no audio file of this name below {root}"


def _why_rejected(metadata: Metadata, positions: pd.Series, tree: Tree) -> pd.Series:
    """Return the reason to reject each row; empty for the others."""
    rows = metadata.rows
    root = str(tree.root)
    paths = tidy(rows["file"], root)
    problems = tree.rejected.set_index("path")["reason"]
    reasons = pd.Series("", rows.index, dtype=str)
    reasons = reasons.mask(rows["label"].isna() & (rows["split"] != "test"), "no label")
    lost = (f"{root}/" + paths).map(problems).astype(str).fillna(_no_file(root))
    reasons = reasons.mask(positions == NO_FILE, lost)
    is_outside = (positions == NO_FILE) & ~are_inside(paths)
    return reasons.mask(is_outside, "not a path below the audio folder")
