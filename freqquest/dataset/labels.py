"""Clips with one label or several, which a table joins in one text. pandas only."""

import pandas as pd

from freqquest.dataset.manifest import LABEL_SEPARATOR


def join_labels(cells: pd.Series, separator: str) -> pd.Series:
    """Return cells of labels as a table of clips has them: each label once, sorted, joined.

    Args:
        cells: Labels, where empty cells are missing values.
        separator: Separator of several labels in a cell.
    """
    have_several = cells.str.contains(separator, regex=False).fillna(False).astype(bool)
    joined = cells[have_several].map(
        lambda cell: LABEL_SEPARATOR.join(_names(cell.split(separator))) or None
    )
    return cells.mask(have_several, joined.reindex(cells.index).astype(cells.dtype))


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
