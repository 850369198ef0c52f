"""The background: a class of clips that have no sound of any other class.

It is learned as a class, and is never an answer. pandas only.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from freqquest.dataset.config import DatasetSettings
from freqquest.dataset.file_names import folders
from freqquest.dataset.stratify import count_labels, divide_groups
from freqquest.errors import UserError

FOLDERS = ("_background", "_background_noise_")
"""Names of class folders that are a background, in any letter case; the second one is Speech
Commands'."""


def find_background(classes: Sequence[str], given: str | None) -> str | None:
    """Return the class that is the background; None if there is none.

    Args:
        classes: All classes.
        given: Name by the user's setting `background_label`.

    Raises:
        UserError: There are several, or the given one is not a class.
    """
    if given is not None and given not in classes:
        raise UserError(
            f"`background_label={given}` must be one of the classes: {', '.join(classes)}"
        )
    found = sorted({label for label in classes if label.casefold() in FOLDERS} | {given or ""})
    found = [label for label in found if label]
    if len(found) > 1:
        raise UserError(
            f"the classes {' and '.join(found)} are both a background, but only one can be: put "
            "their clips into one class"
        )
    return found[0] if found else None


def in_background_folders(clip_ids: pd.Series) -> pd.Series:
    """Return which files are in a folder with the name of a background, at any depth."""
    names = "|".join(FOLDERS)
    return folders(clip_ids).str.contains(rf"(?i)(?:^|/)(?:{names})(?:/|\Z)", regex=True)


def complete_places(clips: pd.DataFrame, background: str, config: DatasetSettings) -> pd.DataFrame:
    """Give the background folds or splits if all other clips have them, and it has none.

    Whole recordings are divided: over all folds, or with `validation_fraction` for validation if
    the other clips have such a split.

    Args:
        clips: Table of clips.
        background: Its class that is the background.
        config: Its `validation_fraction` and `seed` are used.

    Raises:
        UserError: The background has a single recording.
    """
    is_background = (clips["label"] == background).fillna(False).astype(bool)
    is_test = (clips["split"] == "test").fillna(False).astype(bool)
    others, own = clips[~is_background & ~is_test], clips[is_background]
    clips = clips.copy()
    folds = sorted(others["fold"].dropna().unique())
    if len(folds) > 1 and own["fold"].isna().all():
        parts = _divide(own, [1 / len(folds)] * len(folds), config.seed)
        clips.loc[is_background, "fold"] = pd.array(np.array(folds)[parts], dtype="Int64")
    if others["split"].notna().any() and own["split"].isna().all():
        splits = np.full(len(own), "train", object)
        if (others["split"] == "validation").any():
            fraction = config.validation_fraction
            parts = _divide(own, [1 - fraction, fraction], config.seed)
            splits = np.array(["train", "validation"], object)[parts]
        clips.loc[is_background, "split"] = splits
    return clips


def _divide(clips: pd.DataFrame, shares: list[float], seed: int) -> np.ndarray:
    """Return the part of each clip; whole recordings are divided."""
    numbers, recordings = pd.factorize(clips["recording"])
    if len(recordings) < 2:
        raise UserError(
            f"class {clips['label'].iloc[0]} has only one recording: a split by recording needs at "
            "least two of each class, and windows of one file are never divided; add files of "
            "other recordings"
        )
    parts = divide_groups(count_labels(numbers, np.zeros(len(clips), int)), shares, seed)
    of_clips: np.ndarray = parts[numbers]
    return of_clips
