"""CSV files that are safe to open in a spreadsheet."""

import csv
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pandas as pd

from freqquest.errors import UserError
from freqquest.storage import Location

LABEL_SEPARATOR = ";"
"""Separator of the labels of a clip that has several."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(table: pd.DataFrame, file: Location, unchanged: Collection[str] = ()) -> None:
    """Write a table, with an apostrophe before text that a spreadsheet would run as a formula.

    Source: OWASP, "CSV Injection".

    Args:
        table: The table.
        file: File to write.
        unchanged: Columns that are written as they are.
    """
    others = [name for name in table.columns if name not in unchanged]
    safe = table.assign(**{name: table[name].map(_neutralize) for name in others})
    text = safe.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # which readers take for the end of a line unless it is in quotes
        text = safe.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    file.write_text(text)


def restore(cells: pd.Series) -> pd.Series:
    """Return text cells of a table that `write_csv` wrote as they were before."""
    is_safe = cells.str.startswith(tuple(f"'{start}" for start in _FORMULA_STARTS))
    return cells.where(~is_safe, cells.str[1:])


@contextmanager
def name_damaged(file: Location) -> Iterator[None]:
    """Name the file in the error of a table that cannot be read.

    Raises:
        UserError: It is cut or otherwise damaged.
    """
    try:
        yield
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"{file} is cut or damaged ({str(error).strip()}): copy the run folder again"
        ) from error


def _neutralize(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
