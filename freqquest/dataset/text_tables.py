"""Tables that users write as text: CSV files with any common separator and encoding.

pandas only. The index of every table is the row's line in its file, for errors and quarantine.csv.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from freqquest.errors import UserError
from freqquest.storage import Location, locate

_SEPARATORS = (",", ";", "\t")
_NUM_SAMPLED_ROWS = 20
_SAMPLED_CHARACTERS = 2**20
_BATCH_ROWS = 50_000

_MARKED_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the bytes that a file begins with. UTF-32's begin with those of UTF-16."""

_NAMES = {"cp1252": "Windows-1252"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTable:
    """A table of text cells."""

    rows: pd.DataFrame
    """Cells, with the lines as the index; a missing cell is the empty string."""

    shown: str
    """Name of the file for errors."""

    notes: list[str]
    """Lines for the job's summary: an encoding that was guessed."""


def read_csv(path: str, columns: list[str], parameter: str, *, strip: bool = True) -> pd.DataFrame:
    """Read a CSV as text cells, with line numbers as the index.

    Args:
        path: Path or URI of the CSV.
        columns: Columns that it must have, in any letter case; they are renamed to these.
        parameter: Name of the parameter that gave the path, for errors.
        strip: Remove spaces around the cells.

    Raises:
        UserError: The file is missing, not a CSV, or lacks a column.
    """
    location = locate(path)
    table = read_text_table(location, f"`{parameter}={location}`", strip=strip).rows
    found = {name: find_column(table, name) for name in columns}
    if missing := [name for name, column in found.items() if column is None]:
        raise UserError(
            f"`{parameter}={location}` lacks the column {', '.join(missing)}; it has "
            f"{', '.join(table.columns)}"
        )
    return table.rename(columns={str(column): name for name, column in found.items()})


def read_text_table(file: Location, shown: str, *, strip: bool = True) -> TextTable:
    """Read a CSV, whose first line names the columns.

    Args:
        file: The CSV.
        shown: Its name for errors.
        strip: Remove spaces around the cells.

    Raises:
        UserError: The file is missing or not a CSV.
    """
    text, notes = read_text(file, shown)
    try:
        separator = sniff_separator(text)
        rows = _numbered_rows(text, separator)
        header = [name.strip() for name in next(rows, (0, []))[1]]
        if not header:
            raise UserError(f"{shown} is empty: its first line must name the columns")
        repeated = [name for name in header if name and header.count(name) > 1]
        if repeated:
            raise UserError(f"{shown} has the column {repeated[0]} twice: keep one of them")
        header = [name or f"column {number}" for number, name in enumerate(header, 1)]
        table = _as_table(rows, header, separator, shown)
    except csv.Error as error:
        raise UserError(f"{shown} is not a readable CSV: {error}") from error
    if strip:
        table = table.apply(lambda column: column.str.strip())
    table = table[(table != "").any(axis=1)]
    return TextTable(rows=table, shown=shown, notes=notes)


def find_column(table: pd.DataFrame, name: str) -> str | None:
    """Return the column of this name, in the same or else in any letter case."""
    if name in table.columns:
        return name
    matches = [column for column in table.columns if column.casefold() == name.strip().casefold()]
    return matches[0] if matches else None


def read_text(file: Location, shown: str) -> tuple[str, list[str]]:
    """Return a file's text, and a line for the summary if its encoding had to be guessed.

    Raises:
        UserError: The file is missing, or in none of the encodings.
    """
    if not file.is_file():
        raise UserError(f"{shown} does not exist or is not a file")
    content = file.read_bytes()
    marked = _marked_encoding(content)
    for encoding in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if encoding not in _NAMES:
            return text, []
        return text, [f"{file.name} is not UTF-8 and was read as {_NAMES[encoding]}"]
    raise UserError(
        f"{shown} is not a readable CSV: it is neither {marked or 'UTF-8 nor Windows-1252'} text; "
        "save it as UTF-8"
    )


def _marked_encoding(content: bytes) -> str:
    """Return the encoding by a file's first bytes; empty if they do not tell it."""
    for mark, encoding in _MARKED_ENCODINGS.items():
        if content.startswith(mark):
            return encoding
    if 0 in content[:2]:  # UTF-16 without a mark: one of the two bytes of an ASCII character
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    return ""


def sniff_separator(text: str) -> str:
    """Return the separator by which the header and the first rows have equally many cells."""
    best, best_score, beginning = _SEPARATORS[0], (False, 1), text[:_SAMPLED_CHARACTERS]
    for separator in _SEPARATORS:
        try:
            rows = [
                row for _, row in islice(_numbered_rows(beginning, separator), _NUM_SAMPLED_ROWS)
            ]
        except csv.Error:  # raised again when the whole table is read
            continue
        width = len(rows[0]) if rows else 0
        score = (width > 1 and all(len(row) == width for row in rows), width)
        if score > best_score:
            best, best_score = separator, score
    return best


def _numbered_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def _as_table(
    rows: Iterator[tuple[int, list[str]]], header: list[str], separator: str, shown: str
) -> pd.DataFrame:
    """Return the rows as a table, in batches: text is smaller in pandas than in Python."""
    batches = [pd.DataFrame(columns=header, dtype=str)]
    width = len(header)
    while batch := list(islice(rows, _BATCH_ROWS)):
        for line, row in batch:
            if any(row[width:]):
                raise UserError(
                    f"{shown} line {line} has more cells than columns: put quotation marks around "
                    f"cells that contain {_SEPARATOR_NAMES[separator]}"
                )
        cells = [(row + [""] * width)[:width] for _, row in batch]
        lines = [line for line, _ in batch]
        batches.append(pd.DataFrame(cells, index=lines, columns=header, dtype=str))
    return pd.concat(batches)


_SEPARATOR_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
