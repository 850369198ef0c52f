"""Files of time-stamped labels: CSV files, Audacity label files and Raven selection tables.

pandas only. Every kind becomes a table with the columns COLUMNS and one row per annotated sound.
"""

import re
from collections.abc import Mapping

import pandas as pd

from freqquest.dataset.config import COLUMN_SETTINGS
from freqquest.dataset.file_names import names
from freqquest.dataset.metadata import split_names, whole_numbers
from freqquest.dataset.text_tables import find_column, read_text, read_text_table
from freqquest.errors import UserError
from freqquest.runs.tables import restore
from freqquest.storage import Location

COLUMNS = ("file", "start_s", "end_s", "label", "recording", "fold", "split")
"""Columns of a table of annotations: the audio file as it is written there, times in seconds."""

_NAMES: dict[str, tuple[str, ...]] = {
    "file": ("path", "filename", "file", "Begin Path", "Begin File"),
    "start_s": ("start_s", "start", "onset", "Begin Time (s)"),
    "end_s": ("end_s", "end", "offset", "End Time (s)"),
    "label": (
        *("label", "event_label", "Species", "Species Code", "Annotation", "Annotations"),
        *("Call Type", "Class", "Type", "Common Name", "Sound"),
    ),
    "recording": ("recording",),
    "fold": ("fold",),
    "split": ("split",),
}
"""Names of each column in CSV files and in Raven's tables, in the order in which they are tried."""

_NEEDED = ("start_s", "end_s", "label")
_FILE_OFFSET = "File Offset (s)"
_AUDACITY_LINE = re.compile(r"\s*[-+.,\deE]+\t[-+.,\deE]+(\t.*)?")


def read_annotation_file(
    file: Location, shown: str, chosen: Mapping[str, str]
) -> tuple[pd.DataFrame, str, list[str]] | None:
    """Read one file of annotations.

    Args:
        file: The file.
        shown: Its name for errors.
        chosen: Columns that the user names, by role.

    Returns:
        Table with COLUMNS and the lines as the index, the kind of the file, and lines for the
        summary; None if the file is of no such kind.

    Raises:
        UserError: The file is missing, or a cell or a column that the user names is invalid.
    """
    text, notes = read_text(file, shown)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return _complete(pd.DataFrame(columns=["start_s", "end_s", "label"], dtype=str)), "", []
    if _AUDACITY_LINE.fullmatch(lines[0]):
        return _complete(_read_audacity(text)), "Audacity label files", notes
    cells = read_text_table(file, shown).rows
    columns = _find_columns(cells, shown, chosen)
    if not set(_NEEDED) <= set(columns):
        return None
    # Events that the detect job wrote are annotations, too.
    table = pd.DataFrame({role: restore(cells[column]) for role, column in columns.items()})
    table["start_s"], table["end_s"] = _seconds(table["start_s"]), _seconds(table["end_s"])
    if columns["start_s"].casefold() != "begin time (s)":
        if "file" not in columns:
            return None
        return _complete(_check_cells(table, shown, columns)), "CSV files", notes
    table = _in_raven_files(table, cells, columns)
    return _complete(_check_cells(table, shown, columns)), "Raven selection tables", notes


def _in_raven_files(
    table: pd.DataFrame, cells: pd.DataFrame, columns: Mapping[str, str]
) -> pd.DataFrame:
    """Return one row per selection of Raven, with the times in its audio file."""
    if "file" in columns:  # a path of the computer that Raven ran on
        table["file"] = names(table["file"].str.replace("\\", "/", regex=False))
    if (offset_column := find_column(cells, _FILE_OFFSET)) is not None:
        offsets = _seconds(cells[offset_column])
        table = table.assign(start_s=offsets, end_s=offsets + table["end_s"] - table["start_s"])
    if {"Selection", "View"} <= set(cells.columns):  # one row for each view of a selection
        table = table[~cells.duplicated(["Selection", columns["start_s"], columns["end_s"]])]
    return table


def _find_columns(cells: pd.DataFrame, shown: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the user's column of each role."""
    columns = {}
    for role, known in _NAMES.items():
        wanted = (chosen[role],) if role in chosen else known
        found = [column for name in wanted if (column := find_column(cells, name)) is not None]
        if found:
            columns[role] = found[0]
        elif role in chosen:
            raise UserError(
                f"`{COLUMN_SETTINGS[role]}={chosen[role]}` is not a column of {shown}: it has the "
                f"columns {', '.join(cells.columns)}"
            )
    return columns


def _read_audacity(text: str) -> pd.DataFrame:
    """Return the labels of an Audacity file, without the lines of frequencies."""
    rows = [
        (number, *(f"{line}\t\t".split("\t")[:3]))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("\\")
    ]
    table = pd.DataFrame(rows, columns=["line", "start_s", "end_s", "label"]).set_index("line")
    return table.assign(
        start_s=_seconds(table["start_s"]),
        end_s=_seconds(table["end_s"]),
        label=table["label"].astype(str).str.strip(),
    )


def _seconds(cells: pd.Series) -> pd.Series:
    """Return times as numbers; NaN for what is none. Some languages write a decimal comma."""
    numbers = pd.to_numeric(
        cells.astype(str).str.strip().str.replace(",", ".", regex=False), errors="coerce"
    )
    return numbers.astype(float).where(numbers.abs() < float("inf"))


def _check_cells(table: pd.DataFrame, shown: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with folds as numbers and splits with freqquest's names."""
    for role, check in {"fold": whole_numbers, "split": split_names}.items():
        if role in columns:
            cells = table[role].where(table[role] != "")
            table[role] = check(cells, shown, columns[role])
    return table


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all columns, where empty cells are missing values."""
    table = table.reindex(columns=list(COLUMNS))
    for name in ("file", "label", "recording", "split"):
        cells = table[name].astype(str)
        table[name] = cells.where(cells != "")
    return table.astype({"start_s": float, "end_s": float, "fold": "Int64"})
