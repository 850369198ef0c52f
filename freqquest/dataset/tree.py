"""The files below an audio folder, as a table of clips.

pandas only. A table of clips has the columns CLIP_COLUMNS and one row per clip, sorted by clip_id.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NoReturn

import pandas as pd

from freqquest.audio.decode import AUDIO_SUFFIXES, is_audio
from freqquest.dataset.file_names import folders
from freqquest.errors import UserError
from freqquest.local_walk import Entry
from freqquest.storage import Location, locate

CLIP_COLUMNS = [
    "clip_id",
    "path",
    "start_s",
    "end_s",
    "label",
    "recording",
    "fold",
    "split",
    "num_bytes",
    "modified_ns",
    "source",
]
"""Columns of a table of clips.

`clip_id` is the path relative to the audio folder, followed by `#` and `start_s` if a file has
several clips. `start_s` is 0 and `end_s` missing (the end of the file) unless the clip is a part of
a file. A clip whose recording is unknown is its own: `recording` equals `clip_id`. `label`, `fold`
and `split` are missing if no source has them. `source` is the line of the annotation that made a
clip, for errors, and missing for whole files.
"""

_NUM_ENDINGS = 12
"""Endings that a line of the summary lists, the commonest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Clips of a folder."""

    clips: pd.DataFrame
    """Table of clips."""

    rejected: pd.DataFrame
    """Table of `path` and `reason` for links out of the folder and CSV lines without a file."""

    notes: list[str] = field(default_factory=list)
    """Lines for the job's summary: the layout, where recordings come from, what was set aside."""

    recordings_from: str = ""
    """Place of the recordings that the table has, for the summary."""

    background_label: str | None = None
    """Class that is the background, if there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """Files and folders below an audio folder, without hidden ones."""

    root: Location
    """The audio folder."""

    clips: pd.DataFrame
    """Table of clips, one row per audio file, without labels, recordings, folds and splits."""

    others: list[str]
    """Relative paths of the files that are not audio by their ending."""

    folders: list[str]
    """Relative paths of all folders."""

    rejected: pd.DataFrame
    """Table of `path` and `reason` for files that must not be read."""


def list_tree(audio_dir: str, parameter: str, *, may_be_file: bool = False) -> Tree:
    """List the files below a folder.

    Args:
        audio_dir: Path or URI of the folder.
        parameter: Name of the parameter that gave the path, for errors.
        may_be_file: Take a file for a folder with nothing else in it.

    Raises:
        UserError: The folder is missing, or a folder in it cannot be read.
    """
    root = locate(audio_dir)
    entries: Iterable[Entry] = ()
    if root.is_dir():
        entries = root.walk()
    elif may_be_file and root.is_file():
        root, entries = root.parent, [root.entry()]
    else:
        kind = "neither a folder nor a file" if may_be_file else "not a folder"
        raise UserError(f"`{parameter}={root}` does not exist or is {kind}")
    files: list[str] = []
    sizes, times = array("q"), array("q")
    others, dirs, rejected = [], [], []
    for entry in entries:
        if entry.is_dir and entry.problem:
            _refuse_folder(root, entry, parameter)
        if entry.problem:
            rejected.append((str(root / entry.path), entry.problem))
        elif entry.is_dir:
            dirs.append(entry.path)
        elif is_audio(entry.path):
            files.append(entry.path)
            sizes.append(entry.num_bytes)
            times.append(entry.modified_ns)
        else:
            others.append(entry.path)
    return Tree(
        root=root,
        clips=_table_of_clips(root, files, sizes, times),
        others=others,
        folders=dirs,
        rejected=as_table(rejected),
    )


def _refuse_folder(root: Location, entry: Entry, parameter: str) -> NoReturn:
    raise UserError(
        f"`{parameter}={root}` holds a folder that cannot be read, "
        f"{root / entry.path if entry.path else root} ({entry.problem}): its clips would be "
        "missing; make it readable, or remove it"
    )


def require_filled(tree: Tree) -> None:
    """Refuse folders without clips.

    Raises:
        UserError: A folder has neither audio nor folders.
    """
    filled = {*folders(tree.clips["clip_id"]).unique(), *_parents(tree.folders)}
    if empty := sorted(set(tree.folders) - filled):
        held = [path for path in tree.others if path.startswith(f"{empty[0]}/")]
        raise UserError(
            f"class folder {tree.root / empty[0]} has no audio {describe_held(held)}: add clips or "
            "remove it"
        )


def _parents(paths: list[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def as_table(rows: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return a table of `path` and `reason`."""
    return pd.DataFrame(list(rows), columns=["path", "reason"], dtype=str)


def describe_held(others: Iterable[str]) -> str:
    """Return what a folder without audio holds, and which endings audio may have."""
    counted = _count_endings(others) or "nothing"
    return f"(it holds {counted}; audio is {' '.join(AUDIO_SUFFIXES[:9])} and others)"


def describe_others(others: Iterable[str]) -> list[str]:
    """Return the line of the summary that counts files other than clips, by their ending."""
    counted = _count_endings(others)
    return [f"other files: {counted}"] if counted else []


def _count_endings(paths: Iterable[str]) -> str:
    endings = Counter(PurePosixPath(path).suffix.lower() or "no ending" for path in paths)
    shown = [f"{count:,} {ending}" for ending, count in endings.most_common(_NUM_ENDINGS)]
    rest = endings.total() - sum(count for _, count in endings.most_common(_NUM_ENDINGS))
    return ", ".join(shown) + (f", {rest:,} others" if rest else "")


def describe_rejected(rejected: pd.DataFrame) -> str:
    """Return the end of an error that rejected files may explain."""
    if rejected.empty:
        return ""
    path, reason = rejected.iloc[0]
    return f"; {len(rejected)} were rejected, the first is {path} ({reason})"


def file_ids(clips: pd.DataFrame) -> pd.Series:
    """Return the id of each clip's file: the clip's without the start of a part."""
    is_part = (clips["start_s"] != 0) | clips["end_s"].notna()
    without_start = clips["clip_id"].str.replace(r"#[0-9.]+\Z", "", regex=True)
    return clips["clip_id"].where(~is_part, without_start)


def part_ids(files: pd.Series, starts_s: pd.Series) -> pd.Series:
    """Return the ids of parts: those of their files, and their starts to the millisecond."""
    starts = starts_s.map(lambda start_s: f"{start_s:.3f}".rstrip("0").rstrip("."))
    return files + "#" + starts.astype(str)


def _table_of_clips(
    root: Location, files: list[str], sizes: "array[int]", times: "array[int]"
) -> pd.DataFrame:
    clip_ids = pd.Series(files, dtype=str)
    clips = pd.DataFrame(
        {
            "clip_id": clip_ids,
            "path": str(root / "") + clip_ids,
            "start_s": 0.0,
            "end_s": float("nan"),
            "label": pd.Series(pd.NA, clip_ids.index, dtype=str),
            "recording": pd.Series(pd.NA, clip_ids.index, dtype=str),
            "fold": pd.Series(pd.NA, clip_ids.index, dtype="Int64"),
            "split": pd.Series(pd.NA, clip_ids.index, dtype=str),
            "num_bytes": pd.Series(sizes, dtype="int64"),
            "modified_ns": pd.Series(times, dtype="int64"),
            "source": pd.Series(pd.NA, clip_ids.index, dtype=str),
        }
    )
    return clips.sort_values("clip_id", ignore_index=True)
