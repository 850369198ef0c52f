"""CSV files that the user brings: labels, recordings, folds and splits of clips; lists of clips.

pandas only. Every table's index is the row's line in its file, for errors and quarantine.
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
    """A CSV of clips, with UrbanSound8K's columns or freqquest's own.

    Returns:
        Columns `file`, `label`, `recording`, `fold`, `split`, missing where a cell is empty; and whether `file` is a
        path below the audio folder (freqquest's own columns: the CSV is the list of clips) or a file name
        (UrbanSound8K's: it tells of clips found otherwise).

    Raises:
        UserError: It is not such a CSV, or a cell cannot be understood.
    """
    table = read_csv(path, [], "--metadata")
    lists_clips = "path" in table.columns
    table = table.rename(columns={"path": "file"} if lists_clips else _URBANSOUND_NAMES)
    needed = ("file", "label") if lists_clips else ("file", "recording")
    if not set(needed) <= set(table.columns) or not table.columns.is_unique:
        raise UserError(
            f"--metadata {path} needs the columns path, label (and may have recording, fold, split), "
            f"or UrbanSound8K's slice_file_name, fsID (fold, class); it has {', '.join(table.columns)}"
        )
    table = table.reindex(columns=["file", *_OPTIONAL]).astype(object)
    table = table.where(table != "")
    if lists_clips:
        table["file"] = table["file"].map(lambda path: str(PurePosixPath(path)), na_action="ignore")
    _refuse_repeated(table["file"] if lists_clips else stems(table["file"]), path)
    unknown = table["split"].dropna()[lambda given: ~given.isin(SPLITS)]
    if len(unknown):
        raise UserError(
            f"--metadata {path} line {unknown.index[0]}: split {unknown.iloc[0]!r} is none of {', '.join(SPLITS)}"
        )
    return table.assign(fold=_whole_numbers(table["fold"], path)), lists_clips


def stems(files: pd.Series) -> pd.Series:
    """File names without folder and ending: clips are often converted to another format."""
    return files.str.rsplit("/", n=1).str[-1].str.rsplit(".", n=1).str[0]


def read_csv(path: str, columns: list[str], flag: str) -> pd.DataFrame:
    """A CSV as text cells, with line numbers as its index.

    Raises:
        UserError: It is missing, not a CSV, or lacks one of the columns.
    """
    location = locate(path)
    if not location.is_file():
        raise UserError(f"{flag} {location} does not exist or is not a file")
    try:
        numbered = list(_numbered_rows(location.read_text()))
    except (csv.Error, ValueError) as error:  # ValueError: not UTF-8
        raise UserError(f"{flag} {location} is not a readable CSV: {error}") from error
    if not numbered:
        raise UserError(
            f"{flag} {location} is empty; it needs a first line with the column(s) {', '.join(columns)}"
        )
    (_, header), *rows = numbered
    repeated = [name for name in header if header.count(name) > 1]
    too_long = [line for line, row in rows if any(row[len(header) :])]
    if repeated or too_long:
        problem = (
            f"has the column {repeated[0]} twice"
            if repeated
            else f"line {too_long[0]} has more cells than columns"
        )
        raise UserError(
            f"{flag} {location} {problem}: a comma inside of a cell needs quotation marks around the cell"
        )
    rows = [(line, row) for line, row in rows if any(row)]
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{flag} {location} lacks the column {', '.join(missing)}; it has {', '.join(header)}"
        )
    cells = [(row + [""] * len(header))[: len(header)] for _, row in rows]
    return pd.DataFrame(cells, index=[line for line, _ in rows], columns=header, dtype=str)


def is_inside(path: str) -> bool:
    """Whether a path from a CSV is relative, stays inside its folder, and has no control characters."""
    parts = PurePosixPath(path).parts
    is_text = all(character >= " " and character != "\x7f" for character in path)
    return bool(parts) and parts[0] != "/" and ".." not in parts and is_text


def _numbered_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the line that it begins on."""
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
            f"--metadata {path} line {repeated.index[0]} names {repeated.iloc[0]} a second time: keep one row a clip"
        )


def _whole_numbers(cells: pd.Series, path: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = cells[cells.notna() & (numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > 2**31))]
    if len(wrong):
        raise UserError(
            f"--metadata {path} line {wrong.index[0]}: fold {wrong.iloc[0]!r} is not a whole number"
        )
    return numbers.astype("Int64")
