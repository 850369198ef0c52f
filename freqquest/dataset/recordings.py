"""Recordings of clips: from tables and folders, a pattern, known file names, or equal content.

pandas only. Clips that are parts of one file always share its recording.
"""

import re

import pandas as pd

from freqquest.dataset.equal_content import first_equal_files
from freqquest.dataset.file_names import count_files, names, without_ending
from freqquest.dataset.tree import file_ids

NAME_PATTERNS = {
    "UrbanSound8K": r"^([0-9]+)-([0-9])-[0-9]+-[0-9]+\Z",
    "Speech Commands": r"^([0-9a-f]+)_nohash_[0-9]+\Z",
    "ESC-50": r"^[1-5]-([0-9]+)-[A-Z]-[0-9]+\Z",
}
"""Names of data sets' files without ending. The first group is the recording; that of Speech
Commands is the speaker. The second group is the number of the class."""


def find_recordings(
    clips: pd.DataFrame,
    *,
    given_by: str,
    is_guess: bool,
    pattern: str | None,
    is_local: bool,
) -> tuple[pd.Series, list[str]]:
    """Return the recording of each clip, and lines for the summary that say where they come from.

    The first of these that gives it: the user's table; the pattern; the layout; the names, if all
    of them are those of one data set; the first file of equal content; the file itself.

    Args:
        clips: Table of clips, whose recordings may be missing.
        given_by: Place of the recordings that the table has, for the summary.
        is_guess: True if they come from the layout, so that the pattern goes first.
        pattern: Regular expression to search in each file name; its only group is the recording.
        is_local: True if the files are local; the content of others is not compared.
    """
    files = file_ids(clips)
    given = [(clips["recording"], given_by)]
    if pattern is not None:
        found = names(files).str.extract(pattern).iloc[:, 0].astype(str)
        given.insert(0 if is_guess else 1, (found, "`recording_pattern`"))
    recordings, notes = pd.Series(pd.NA, clips.index, dtype=str), list[str]()
    for found, place in given:
        notes += _describe(clips, found, recordings.isna() & found.notna(), place)
        recordings = recordings.fillna(found)
    is_missing = recordings.isna()
    missing = clips[is_missing].assign(recording=files[is_missing])
    if not missing.empty:
        found, more = _guess(missing, is_local)
        recordings, notes = recordings.fillna(found), notes + more
    return recordings, notes


def _guess(clips: pd.DataFrame, is_local: bool) -> tuple[pd.Series, list[str]]:
    """Return recordings by names or content, and lines that say so.

    Args:
        clips: Table of clips, with the ids of their files as recordings.
        is_local: True if the files are local.
    """
    known = _from_names(clips)
    if known is not None:
        return known, _describe(clips, known, known.notna(), "the file names")
    recordings, notes = _merge_copies(clips) if is_local else (clips["recording"], [])
    if (clips["recording"] != clips["clip_id"]).all():
        return recordings, [
            *notes,
            "recordings: the file of each clip, as clips are parts of files",
        ]
    num_own = int((recordings == clips["recording"]).sum())
    line = f"recordings: unknown for {count_files(num_own)}, each counts as its own"
    return recordings, [*notes, line]


def _from_names(clips: pd.DataFrame) -> pd.Series | None:
    """Return recordings from names, if all are names of one data set."""
    stems = without_ending(names(clips["recording"]))
    for pattern in NAME_PATTERNS.values():
        if stems.str.match(pattern).all() and _are_classes(stems, pattern, clips["label"]):
            return stems.str.replace(pattern, r"\1", regex=True)
    return None


def _are_classes(stems: pd.Series, pattern: str, labels: pd.Series) -> bool:
    """Return whether the numbers of classes in the names, if any, belong to one label each.

    The numbers of a date such as 2023-7-10-2 do not.
    """
    if re.compile(pattern).groups < 2:
        return True
    numbers = stems.str.replace(pattern, r"\2", regex=True)
    return bool((labels.groupby(numbers).nunique() <= 1).all())


def _merge_copies(clips: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Give files of equal content one recording; not if a table or folder splits them."""
    files = clips.drop_duplicates("path").reset_index(drop=True)
    files["first"] = first_equal_files(files["path"], files["num_bytes"])
    is_copy = files["first"] != files["path"]
    if not is_copy.any():
        return clips["recording"], []
    copied = files[files["first"].duplicated(keep=False)]
    groups = copied.groupby("first")
    num_places = [groups[name].transform("nunique", dropna=False) for name in ("split", "fold")]
    is_divided = (num_places[0] > 1) | (num_places[1] > 1)
    merged = copied[~is_divided]
    ids = files.set_index("path")["recording"]
    ids.update(pd.Series(merged["first"].map(ids).array, merged["path"]))
    notes = []
    if num_merged := int((merged["first"] != merged["path"]).sum()):
        copy = merged[merged["first"] != merged["path"]].iloc[0]
        notes.append(
            f"equal content: {count_files(num_merged)} in the recording of a copy, e.g. "
            f"{copy['recording']} of {ids[copy['first']]}"
        )
    if is_divided.any():
        first, second = copied["recording"][is_divided].iloc[:2]
        notes.append(
            f"warning: {int(is_divided.sum()):,} files of equal content are in several splits or "
            f"folds, e.g. {first} and {second}: accuracies will be too high; remove the copies"
        )
    if (groups["label"].nunique() > 1).any():
        notes.append("warning: files of equal content have several labels")
    return clips["path"].map(ids), notes


def _describe(
    clips: pd.DataFrame, recordings: pd.Series, is_described: pd.Series, place: str
) -> list[str]:
    """Return the line that says where recordings come from, with two examples."""
    if not is_described.any():
        return []
    distinct = recordings[is_described].drop_duplicates().index[:2]
    pairs = zip(recordings[distinct], names(clips["clip_id"][distinct]), strict=True)
    examples = ", ".join(f"{recording} of {name}" for recording, name in pairs)
    return [f"recordings: from {place}, e.g. {examples}"]
