"""CSV files from users: labels, recordings, folds and splits of clips; lists of clips.

pandas only. The index of every table is the row's line in its file, for errors and quarantine.csv.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import PurePosixPath

import pandas as pd

from freqquest.dataset.manifest import SPLITS
from freqquest.errors import UserError
from freqquest.storage import locate

_URBANSOUND_NAMES = {
    "slice_file_name": "file",
    "fsID": "recording",
    "fold": "fold",
    "class": "label",
}
_OPTIONAL = ("label", "recording", "fold", "split")


def read_metadata(path: str) -> tuple[pd.DataFrame, bool]:
    """Read a CSV of clips, with freqquest's columns or UrbanSound8K's.

    Returns:
        A table with the columns `file`, `label`, `recording`, `fold` and `split`, where empty cells
        are missing values, and whether the CSV lists the clips. If so (freqquest's columns), `file`
        is a path relative to the audio folder; else (UrbanSound8K's), it is a file name.

    Raises:
        UserError: It is not such a CSV, or a cell is invalid.
    """
    table = read_csv(path, [], "metadata")
    header, lists_clips = list(table.columns), "path" in table.columns
    table = table.rename(columns={"path": "file"} if lists_clips else _URBANSOUND_NAMES)
    needed = ("file", "label") if lists_clips else ("file", "recording")
    if not set(needed) <= set(table.columns) or not table.columns.is_unique:
        raise UserError(
            f"`metadata={path}` has the columns {', '.join(header)}: it needs path, label "
            "(optionally recording, fold, split), or UrbanSound8K's slice_file_name, fsID "
            "(optionally fold, class)"
        )
    table = table.reindex(columns=["file", *_OPTIONAL]).astype(object)
    table = table.where(table != "")
    if lists_clips:
        table["file"] = table["file"].map(lambda path: str(PurePosixPath(path)), na_action="ignore")
    _refuse_repeated(table["file"] if lists_clips else stems(table["file"]), path)
    unknown = table["split"].dropna()[lambda splits: ~splits.isin(SPLITS)]
    if len(unknown):
        raise UserError(
            f"`metadata={path}` line {unknown.index[0]}: split {unknown.iloc[0]!r} must be one of: "
            f"{', '.join(SPLITS)}"
        )
    return table.assign(fold=_whole_numbers(table["fold"], path)), lists_clips


def stems(files: pd.Series) -> pd.Series:
    """Return file names without folder and ending: clips are often converted to another format."""
    return files.str.rsplit("/", n=1).str[-1].str.rsplit(".", n=1).str[0]


def read_csv(path: str, columns: list[str], parameter: str) -> pd.DataFrame:
    """Read a CSV as text cells, with line numbers as the index.

    Args:
        path: Path or URI of the CSV.
        columns: Columns that it must have.
        parameter: Name of the parameter that gave the path, for errors.

    Raises:
        UserError: The file is missing, not a CSV, or lacks a column.
    """
    location = locate(path)
    shown = f"`{parameter}={location}`"
    if not location.is_file():
        raise UserError(f"{shown} does not exist or is not a file")
    try:
        numbered = list(_numbered_rows(location.read_text()))
    except (csv.Error, ValueError) as error:  # ValueError: not UTF-8
        raise UserError(f"{shown} is not a readable CSV: {error}") from error
    if not numbered:
        raise UserError(f"{shown} is empty: its first line must name the columns")
    (_, header), *rows = numbered
    _check_width(header, rows, shown)
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{shown} lacks the column {', '.join(missing)}; it has {', '.join(header)}"
        )
    rows = [(line, row) for line, row in rows if any(row)]
    cells = [(row + [""] * len(header))[: len(header)] for _, row in rows]
    return pd.DataFrame(cells, index=[line for line, _ in rows], columns=header, dtype=str)


def _check_width(header: list[str], rows: list[tuple[int, list[str]]], shown: str) -> None:
    """Refuse repeated columns, and rows that are longer than the header."""
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise UserError(f"{shown} has the column {repeated[0]} twice: keep one of them")
    too_long = [line for line, row in rows if any(row[len(header) :])]
    if too_long:
        raise UserError(
            f"{shown} line {too_long[0]} has more cells than columns: put quotation marks around "
            "cells that contain a comma"
        )


def is_inside(path: str) -> bool:
    """Return whether a path is relative, stays in its folder, and has no control characters."""
    parts = PurePosixPath(path).parts
    is_text = all(character >= " " and character != "\x7f" for character in path)
    return bool(parts) and parts[0] != "/" and ".." not in parts and is_text


def _numbered_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def _refuse_repeated(names: pd.Series, path: str) -> None:
    names = names.dropna()
    repeated = names[names.duplicated()]
    if len(repeated):
        raise UserError(
            f"`metadata={path}` line {repeated.index[0]} repeats {repeated.iloc[0]}: keep one row "
            "per clip"
        )


def _whole_numbers(cells: pd.Series, path: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = cells[cells.notna() & (numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > 2**31))]
    if len(wrong):
        raise UserError(
            f"`metadata={path}` line {wrong.index[0]}: fold {wrong.iloc[0]!r} must be an integer"
        )
    return numbers.astype("Int64")
