"""Clips that are parts of files, from time-stamped labels.

pandas only. Each annotated sound becomes a clip, `path#start`.
"""

from collections.abc import Mapping

import pandas as pd

from freqquest.dataset.annotation_files import COLUMNS
from freqquest.dataset.annotation_rows import read_annotation_rows, rejected_rows
from freqquest.dataset.tree import Sources, Tree, part_ids


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
    annotated = read_annotation_rows(tree, annotations, chosen, label_separator)
    rows, files = annotated.rows, tree.clips["clip_id"]
    lacks_label = (rows["reason"] == "") & rows["label"].isna() & (rows["split"] != "test")
    reasons = rows["reason"].mask(lacks_label, "no label")
    parts = _name_parts(rows[reasons == ""], files)
    clashes = _find_clashes(parts)
    reasons.update(clashes)
    parts = parts.drop(index=clashes.index)
    clips = tree.clips.iloc[parts["position"]].reset_index(drop=True)
    kept = ["clip_id", *COLUMNS[1:], "source"]
    clips[kept] = parts[kept].reset_index(drop=True)
    notes = annotated.notes
    if num_unused := len(files) - parts["position"].nunique():
        notes = [*notes, f"audio files without annotations: {num_unused:,}"]
    return Sources(
        clips=clips.sort_values("clip_id", ignore_index=True),
        rejected=rejected_rows(rows.assign(reason=reasons)),
        notes=notes,
        recordings_from="the annotations",
    )


def _name_parts(rows: pd.DataFrame, files: pd.Series) -> pd.DataFrame:
    """Return annotated sounds with the path of their file and `clip_id`, sorted."""
    parts = rows.assign(file=files.iloc[rows["position"]].array)
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
