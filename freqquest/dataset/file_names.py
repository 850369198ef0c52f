"""Columns of paths: their folders, names and endings, and the files that a table's cells name.

pandas only. The functions take and return whole columns, as there can be a million files.
"""

from collections.abc import Callable
from pathlib import PurePosixPath

import pandas as pd

from freqquest.audio.decode import AUDIO_SUFFIXES

NO_FILE, SEVERAL_FILES = -1, -2
"""Results of `match_files` for a cell that names no file, and for one that fits several."""

_AUDIO_ENDING = rf"(?i)\.(?:{'|'.join(suffix[1:] for suffix in AUDIO_SUFFIXES)})\Z"
_OUTSIDE = r"^/|^\.?\Z|(?:^|/)\.\.(?:/|\Z)|[\x00-\x1f\x7f]"


def count_files(count: int) -> str:
    """Return a number of files in words."""
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def is_inside(path: str) -> bool:
    """Return whether a path is relative, stays in its folder, and has no control characters."""
    parts = PurePosixPath(path).parts
    is_text = all(character >= " " and character != "\x7f" for character in path)
    return bool(parts) and parts[0] != "/" and ".." not in parts and is_text


def are_inside(paths: pd.Series) -> pd.Series:
    """Return which paths are inside their folder, as `is_inside` does; missing ones are not."""
    return paths.notna() & ~paths.fillna("").str.contains(_OUTSIDE, regex=True)


def folders(paths: pd.Series) -> pd.Series:
    """Return the path of each file's folder; empty for a file without one."""
    has_folder = paths.str.contains("/", regex=False)
    return paths.where(has_folder, "/").str.replace(r"/[^/]*\Z", "", regex=True)


def top_folders(paths: pd.Series) -> pd.Series:
    """Return the first folder of each path; empty for a file without one."""
    has_folder = paths.str.contains("/", regex=False)
    return paths.where(has_folder, "/").str.replace(r"(?s)/.*\Z", "", regex=True)


def names(paths: pd.Series) -> pd.Series:
    """Return the last part of each path."""
    return paths.str.replace(r"(?s)^.*/", "", regex=True)


def without_ending(paths: pd.Series) -> pd.Series:
    """Return the paths without their audio ending; clips are often converted to another format."""
    return paths.str.replace(_AUDIO_ENDING, "", regex=True)


def tidy(cells: pd.Series, root: str) -> pd.Series:
    """Return the paths of a table with `/` between their parts, relative to the audio folder.

    Args:
        cells: Paths as the user wrote them.
        root: The audio folder, which absolute paths may begin with.
    """
    paths = cells.str.replace("\\", "/", regex=False)
    paths = paths.str.replace(r"/(?:\.?/)+", "/", regex=True).str.removeprefix(f"{root}/")
    return paths.str.replace(r"^(?:\./)+", "", regex=True)


def match_files(cells: pd.Series, files: pd.Series) -> pd.Series:
    """Return the position in `files` of the file that each cell names.

    The first of these that fits: the path; the path in another letter case; the path without
    ending; the same of the file's name, for cells without a folder. A folder that all cells share
    but no file has, such as `audio/`, does not count.

    Args:
        cells: Paths in a table; missing ones, and those that lead out of the folder, name no file.
        files: Paths of all files.

    Returns:
        Positions, `NO_FILE` or `SEVERAL_FILES`, with the index of `cells`.
    """
    positions = pd.Series(NO_FILE, cells.index)
    paths = _drop_shared_folder(cells[are_inside(cells) | cells.isin(files)], files)
    is_bare = ~paths.str.contains("/", regex=False)
    for key_of, is_for_names in _KEYS:
        wanted = paths[(positions.loc[paths.index] == NO_FILE) & (is_bare | (not is_for_names))]
        if wanted.empty:
            continue
        keys = key_of(files)
        is_shared = keys.duplicated(keep=False).to_numpy()
        index = pd.Index(keys[~is_shared])
        found = index.get_indexer(pd.Index(key_of(wanted)))
        places = (~is_shared).nonzero()[0]
        positions.loc[wanted.index[found >= 0]] = places[found[found >= 0]]
        several = key_of(wanted).isin(keys[is_shared].unique())
        positions.loc[wanted.index[several]] = SEVERAL_FILES
    return positions


def fitting_files(cell: str, files: pd.Series) -> list[str]:
    """Return the files that a cell with `SEVERAL_FILES` fits."""
    for key_of, _ in _KEYS:
        fits = key_of(files) == key_of(pd.Series([cell], dtype=str))[0]
        if fits.any():
            return list(files[fits])
    return []


def _lower(paths: pd.Series) -> pd.Series:
    return paths.str.lower()


def _lower_stems(paths: pd.Series) -> pd.Series:
    return without_ending(paths).str.lower()


def _lower_names(paths: pd.Series) -> pd.Series:
    return names(paths).str.lower()


def _lower_name_stems(paths: pd.Series) -> pd.Series:
    return _lower_stems(names(paths))


_KEYS: tuple[tuple[Callable[[pd.Series], pd.Series], bool], ...] = (
    (lambda paths: paths, False),
    (_lower, False),
    (_lower_stems, False),
    (_lower_names, True),
    (_lower_name_stems, True),
)
"""Ways to compare a cell with the files, strictest first, and whether for names alone."""


def _drop_shared_folder(paths: pd.Series, files: pd.Series) -> pd.Series:
    """Remove first folders that all paths share and no file has."""
    known = set(top_folders(files).unique())
    while len(paths):
        first = top_folders(paths).unique()
        if len(first) != 1 or not first[0] or first[0] in known:
            break
        paths = paths.str.slice(len(first[0]) + 1)
    return paths
