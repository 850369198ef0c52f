"""CSV files that are safe to open in a spreadsheet."""

import pandas as pd

from freqquest.storage import Location

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(table: pd.DataFrame, file: Location) -> None:
    """Write a table, with an apostrophe before text that a spreadsheet would run as a formula.

    Source: OWASP, "CSV Injection".
    """
    safe = table.map(_neutralize)
    file.write_text(safe.to_csv(index=False, lineterminator="\n"))


def _neutralize(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
