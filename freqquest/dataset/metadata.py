"""CSV files that describe clips: labels, recordings, folds and splits, by any names of columns.

pandas only. The index of every table is the row's line in its file, for errors and quarantine.csv.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from freqquest.dataset.config import COLUMN_SETTINGS
from freqquest.dataset.labels import join_labels
from freqquest.dataset.manifest import LABEL_SEPARATOR, SPLITS
from freqquest.dataset.text_tables import TextTable, find_column, read_text_table
from freqquest.errors import UserError
from freqquest.storage import Location

ROLES = ("file", "label", "recording", "fold", "split")
"""Columns of every table here, whatever the user's are called."""


class OtherTableError(UserError):
    """A table that does not describe the clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFormat:
    """A kind of CSV, known by its columns: those of `file` and `label`, or else of `needs`."""

    name: str
    """Name for the summary."""

    columns: Mapping[str, str]
    """Column of each role."""

    needs: tuple[str, ...] = ("file", "label")
    """Roles whose columns tell the format."""

    label_separator: str = ""
    """Separator of several labels in a cell, if the format has its own."""

    lists_all: bool = False
    """True if the data set has no clip without a row."""

    @property
    def key(self) -> list[tuple[str, str]]:
        """Return the roles of files and labels, and their columns."""
        return [(role, self.columns[role]) for role in ("file", "label")]


OWN_FORMAT = TableFormat(
    name="list of clips",
    columns={"file": "path", **{role: role for role in ROLES if role != "file"}},
)

FORMATS = (
    OWN_FORMAT,
    TableFormat(
        name="UrbanSound8K",
        columns={
            "file": "slice_file_name",
            "label": "class",
            "recording": "fsID",
            "fold": "fold",
        },
        needs=("file", "recording"),
        lists_all=True,
    ),
    TableFormat(
        name="ESC-50",
        columns={
            "file": "filename",
            "label": "category",
            "recording": "src_file",
            "fold": "fold",
        },
    ),
    TableFormat(
        name="FSD50K",
        columns={"file": "fname", "label": "labels", "split": "split"},
        label_separator=",",
    ),
    TableFormat(
        name="FSDKaggle",
        columns={"file": "fname", "label": "label", "recording": "freesound_id"},
    ),
    TableFormat(name="BirdCLEF", columns={"file": "filename", "label": "primary_label"}),
    TableFormat(name="list of clips", columns={"file": "filename", "label": "label"}),
    TableFormat(name="list of clips", columns={"file": "file_name", "label": "label"}),
    TableFormat(name="list of clips", columns={"file": "file", "label": "label"}),
    TableFormat(name="list of IDs", columns={"file": "ID", "label": "Class"}),
    TableFormat(name="list of IDs", columns={"file": "id", "label": "label"}),
)
"""Formats in the order in which they are tried."""

SPLIT_NAMES = {
    **{split: split for split in SPLITS},
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("val", "valid"), "validation"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
}
"""Names of splits in tables and folders, in lower case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """A CSV that describes clips."""

    rows: pd.DataFrame
    """Table with the columns ROLES, where empty cells are missing values."""

    format: TableFormat
    """Format of the CSV."""

    columns: dict[str, str]
    """The user's name of each role that the CSV has."""

    file: Location
    """The CSV."""

    shown: str
    """Its name for errors."""

    notes: list[str]
    """Lines for the job's summary."""

    @property
    def has_labels(self) -> bool:
        """Return whether the CSV labels the clips; else it adds to those of the class folders."""
        return "label" in self.columns


def read_metadata(
    file: Location,
    shown: str,
    chosen: Mapping[str, str] | None = None,
    label_separator: str = LABEL_SEPARATOR,
) -> Metadata:
    """Read a CSV of clips.

    Args:
        file: The CSV.
        shown: Its name for errors.
        chosen: Columns that the user names, by role; the others are found by their names.
        label_separator: Separator of several labels in a cell, unless the format has its own.

    Raises:
        UserError: It is not such a CSV, or a cell is invalid.
    """
    text = read_text_table(file, shown)
    _refuse_annotations(text)
    kind = _recognize(text.rows)
    columns = _columns_of_roles(text, kind, chosen or {})
    if any(columns.get(role, name).casefold() != name.casefold() for role, name in kind.key):
        kind = OWN_FORMAT
    rows = pd.DataFrame({role: text.rows[column] for role, column in columns.items()})
    rows = rows.reindex(columns=list(ROLES)).astype(str)
    rows = rows.where(rows != "")
    return Metadata(
        rows=rows.assign(
            label=join_labels(rows["label"], kind.label_separator or label_separator, shown),
            fold=whole_numbers(rows["fold"], shown, columns.get("fold", "fold")),
            split=split_names(rows["split"], shown, columns.get("split", "split")),
        ),
        format=kind,
        columns=columns,
        file=file,
        shown=shown,
        notes=text.notes,
    )


def whole_numbers(cells: pd.Series, shown: str, column: str) -> pd.Series:
    """Return a column of folds as integers.

    Raises:
        UserError: A cell is something else.
    """
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = cells[cells.notna() & (numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > 2**31))]
    if len(wrong):
        raise UserError(
            f"{shown} line {wrong.index[0]}: {column} {wrong.iloc[0]!r} must be an integer"
        )
    return numbers.astype("Int64")


def split_names(cells: pd.Series, shown: str, column: str) -> pd.Series:
    """Return a column of splits with freqquest's names.

    Raises:
        UserError: A cell is something else.
    """
    splits = cells.str.lower().map(SPLIT_NAMES).astype(str)
    wrong = cells[cells.notna() & splits.isna()]
    if len(wrong):
        raise UserError(
            f"{shown} line {wrong.index[0]}: {column} {wrong.iloc[0]!r} must be one of: "
            f"{', '.join(SPLITS)}"
        )
    return splits


def _refuse_annotations(text: TextTable) -> None:
    """Refuse a table of sounds inside of files, of which whole files would become clips."""
    times = [find_column(text.rows, name) for name in ("start_s", "end_s")]
    if None not in times:
        raise OtherTableError(
            f"{text.shown} has the columns {' and '.join(map(str, times))}, which only annotations "
            "have: give it as `annotations`, or remove these columns to use whole files"
        )


def _recognize(table: pd.DataFrame) -> TableFormat:
    """Return the first format whose columns the table has, else the list of clips."""
    for kind in FORMATS:
        if all(find_column(table, kind.columns[role]) is not None for role in kind.needs):
            return kind
    return OWN_FORMAT


def _columns_of_roles(
    text: TextTable, kind: TableFormat, chosen: Mapping[str, str]
) -> dict[str, str]:
    """Return the user's column of each role, as the user names it or by the format.

    Raises:
        UserError: The user's column is not there, or the table lacks paths or labels.
    """
    header = ", ".join(text.rows.columns)
    columns = {}
    for role in ROLES:
        wanted = chosen.get(role) or kind.columns.get(role)
        column = find_column(text.rows, wanted) if wanted else None
        if role in chosen and column is None:
            raise UserError(
                f"`{COLUMN_SETTINGS[role]}={chosen[role]}` is not a column of {text.shown}: it has "
                f"the columns {header}"
            )
        if column is not None:
            columns[role] = column
    describes = {"label", "recording"} if not chosen else set(ROLES) - {"file"}
    rival = find_column(text.rows, "label") if "label" not in chosen else None
    is_ambiguous = rival is not None and columns.get("label", rival) != rival
    is_found = {"file": "file" in columns, "label": bool(describes & set(columns))}
    missing = [f"`{COLUMN_SETTINGS[role]}`" for role, is_there in is_found.items() if not is_there]
    if missing or is_ambiguous:
        raise OtherTableError(
            f"{text.shown} has the columns {header}: it needs path, label (optionally recording, "
            "fold, split), or UrbanSound8K's slice_file_name, fsID (optionally fold, class), or "
            f"its own names in {' and '.join(missing or ['`label_column`'])}"
        )
    return columns
