"""Clips with one label or several, which a table joins in one text. pandas only."""

import pandas as pd

from freqquest.dataset.manifest import LABEL_SEPARATOR
from freqquest.errors import UserError


def join_labels(cells: pd.Series, separator: str, shown: str) -> pd.Series:
    """Return cells of labels as a table of clips has them: each label once, sorted, joined.

    Args:
        cells: Labels by line, where empty cells are missing values.
        separator: Separator of several labels in a cell.
        shown: Name of the table for errors.

    Raises:
        UserError: A label contains LABEL_SEPARATOR, and another separator is in force.
    """
    if (wrong := have_several(cells.str.replace(separator, "", regex=False))).any():
        raise UserError(
            f"{shown} line {cells.index[wrong][0]}: label {cells[wrong].iloc[0]!r} must not "
            f"contain {LABEL_SEPARATOR!r}, as {separator!r} separates labels here: rename the "
            f"label, or separate several labels by {separator!r}"
        )
    is_joined = cells.str.contains(separator, regex=False).fillna(False).astype(bool)
    joined = cells[is_joined].map(
        lambda cell: LABEL_SEPARATOR.join(_names(cell.split(separator))) or None
    )
    return cells.mask(is_joined, joined.reindex(cells.index).astype(cells.dtype))


def _names(parts: list[str]) -> list[str]:
    return sorted({part.strip() for part in parts} - {""})


def have_several(labels: pd.Series) -> pd.Series:
    """Return which clips have several labels."""
    return labels.str.contains(LABEL_SEPARATOR, regex=False).fillna(False).astype(bool)


def single_labels(labels: pd.Series) -> pd.Series:
    """Return one label per row; a clip with several labels has several rows of the same index."""
    if not have_several(labels).any():
        return labels
    return labels.str.split(LABEL_SEPARATOR).explode().astype(labels.dtype)


def class_names(labels: pd.Series) -> list[str]:
    """Return the names of all labels, sorted."""
    return sorted(single_labels(labels.dropna().drop_duplicates()).unique())


def label_indices(labels: pd.Series, classes: list[str]) -> pd.DataFrame:
    """Return `all` class indices and the `rarest` one of each text of labels, the empty one too."""
    counts = single_labels(labels.dropna()).value_counts()
    index_of = {label: index for index, label in enumerate(classes)}
    rows: dict[str, tuple[list[int], int]] = {"": ([], -1)}
    for text in labels.dropna().unique():
        single = text.split(LABEL_SEPARATOR)
        rarest = min(single, key=lambda label: (counts[label], label))
        rows[text] = [index_of[label] for label in single], index_of[rarest]
    return pd.DataFrame(
        {
            "all": pd.Series([every for every, _ in rows.values()], list(rows), dtype=object),
            "rarest": pd.Series([rarest for _, rarest in rows.values()], list(rows)),
        }
    )
