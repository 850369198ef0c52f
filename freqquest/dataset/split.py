"""Division of labeled clips into training and validation, without dividing a recording.

scikit-learn and pandas; pure functions of the table and the settings.
"""

import pandas as pd

from freqquest.dataset.config import PreprocessConfig
from freqquest.errors import UserError

_NUM_PARTITIONS_TRIED = 5


def assign_splits(clips: pd.DataFrame, config: PreprocessConfig) -> tuple[pd.Series, str]:
    """Assign each clip to a split.

    Args:
        clips: Table of labeled clips (`freqquest.dataset.sources`). Clips in the test split stay
            there.
        config: Its `split`, `validation_fraction`, `validation_fold` and `seed` are used.

    Returns:
        "train", "validation" or "test" for each row, and the description of the split, to go with
        every accuracy over it.

    Raises:
        UserError: A class cannot be in both splits, or a recording would be in two.
    """
    learned = clips[(clips["split"] != "test").fillna(True)]
    splits, description = _split_learned(learned, config)
    splits = splits.reindex(clips.index, fill_value="test")
    if config.split == "recording":
        _require_whole_recordings(clips["recording"], splits)
    return splits, description


def _split_learned(clips: pd.DataFrame, config: PreprocessConfig) -> tuple[pd.Series, str]:
    """Assign train or validation by the first method that the settings and the clips allow."""
    if config.split == "random":
        description = "random split of clips (recordings are in both, so accuracy measures memory)"
        return _random_split(clips, config), description
    has_folds = clips["fold"].nunique() > 1
    if config.validation_fold is not None and not has_folds:
        raise UserError(
            f"`validation_fold={config.validation_fold}` needs `metadata` with at least two folds "
            "and a fold for every clip"
        )
    if clips["split"].notna().any() and config.validation_fold is None:
        _require_all(clips, "split")
        _require_every_class(clips, clips["split"])
        return clips["split"], f"split of the metadata, {_describe_recordings(clips)}"
    if has_folds:
        _require_all(clips, "fold")
        fold = _choose_fold(clips, config)
        splits = (clips["fold"] == fold).map({True: "validation", False: "train"})
        return splits, f"fold {fold}, {_describe_recordings(clips)}"
    return _recording_split(clips, config), _describe_recordings(clips)


def _require_all(clips: pd.DataFrame, column: str) -> None:
    if clips[column].isna().any():
        first = clips["clip_id"][clips[column].isna()].iloc[0]
        raise UserError(
            f"`metadata` has no {column} for {first}, but for others: complete or remove the column"
        )


def _require_every_class(clips: pd.DataFrame, splits: pd.Series) -> None:
    for split in ("train", "validation"):
        missing = set(clips["label"]) - set(clips["label"][splits == split])
        if missing:
            raise UserError(
                f"`metadata` puts no clip of class {min(missing)} into {split}: each class needs "
                "clips in both splits"
            )


def _describe_recordings(clips: pd.DataFrame) -> str:
    num_unknown = int((clips["recording"] == clips["clip_id"]).sum())
    if num_unknown == 0:
        return "recordings unseen in training"
    return (
        f"clips unseen in training, but the recording of {num_unknown} of {len(clips)} clips is "
        "unknown: other clips of it may be in training"
    )


def _random_split(clips: pd.DataFrame, config: PreprocessConfig) -> pd.Series:
    """Split the clips by class and ignore recordings, as the recipe does."""
    from sklearn.model_selection import train_test_split

    counts = clips["label"].value_counts()
    if counts.min() < 2:
        raise UserError(
            f"class {counts.idxmin()} has only one clip: a split needs at least two of each class"
        )
    try:
        _, validation = train_test_split(
            clips.index,
            test_size=config.validation_fraction,
            stratify=clips["label"],
            random_state=config.seed,
        )
    except ValueError as error:
        raise UserError(f"{len(clips)} clips are too few for a split by class: {error}") from error
    return pd.Series(clips.index.isin(validation), index=clips.index).map(
        {True: "validation", False: "train"}
    )


def _choose_fold(clips: pd.DataFrame, config: PreprocessConfig) -> int:
    """Return the configured fold, or else the fold with every class that is closest in size."""
    shares = clips["fold"].value_counts(normalize=True).sort_index()
    if config.validation_fold is not None:
        if config.validation_fold not in shares.index:
            folds = ", ".join(str(fold) for fold in shares.index)
            raise UserError(f"`validation_fold={config.validation_fold}` must be one of: {folds}")
        candidates = [config.validation_fold]
    else:
        candidates = (
            (shares - config.validation_fraction).abs().sort_values(kind="stable").index.tolist()
        )
    num_classes = clips["label"].nunique()
    for fold in candidates:
        inside = clips["fold"] == fold
        if clips["label"][inside].nunique() == clips["label"][~inside].nunique() == num_classes:
            return int(fold)
    num_folds = clips.groupby("label")["fold"].nunique()
    raise UserError(
        f"no fold of {candidates} leaves every class in both splits (class {num_folds.idxmin()} is "
        f"in {num_folds.min()} fold(s)): distribute each class over more folds, or leave out the "
        "column fold of `metadata`"
    )


def _require_whole_recordings(recordings: pd.Series, splits: pd.Series) -> None:
    """Refuse folds or splits that divide a recording, which would leak."""
    splits_of = splits.groupby(recordings).unique()
    divided = splits_of[splits_of.str.len() > 1]
    if len(divided):
        raise UserError(
            f"recording {divided.index[0]} has clips in {' and '.join(sorted(divided.iloc[0]))}: "
            "correct the column fold or split of `metadata`, or remove it to split by recording"
        )


def _recording_split(clips: pd.DataFrame, config: PreprocessConfig) -> pd.Series:
    """Split by recording: of several partitions, take the part with the best class fractions."""
    recordings = clips.groupby("label")["recording"].nunique()
    if recordings.min() < 2:
        raise UserError(
            f"class {recordings.idxmin()} has only one recording: a split by recording needs at "
            "least two of each class; add recordings, or use `split=random` in the preprocess job "
            "and distrust its accuracy"
        )
    smallest_class = int(clips["label"].value_counts().min())
    max_parts = max(2, min(round(1 / config.validation_fraction), smallest_class))
    # If recordings are few, no small part has every class: try larger ones.
    candidates = (_best_part(clips, config, num_parts) for num_parts in range(max_parts, 1, -1))
    best = next((part for part in candidates if part is not None), None)
    if best is None:
        raise UserError(
            "no split by recording leaves every class in both splits: add recordings of the rarest "
            "class"
        )
    return best.map({True: "validation", False: "train"})


def _best_part(clips: pd.DataFrame, config: PreprocessConfig, num_parts: int) -> pd.Series | None:
    """Return a mask of the validation clips, or None if no part has clips of every class."""
    from sklearn.model_selection import StratifiedGroupKFold

    best, best_distance = None, float("inf")
    for attempt in range(_NUM_PARTITIONS_TRIED):
        splitter = StratifiedGroupKFold(num_parts, shuffle=True, random_state=config.seed + attempt)
        for _, validation in splitter.split(clips, clips["label"], clips["recording"]):
            inside = pd.Series(clips.index.isin(clips.index[validation]), index=clips.index)
            shares = inside.groupby(clips["label"]).mean()
            distance = float((shares - config.validation_fraction).abs().max())
            if shares.between(0, 1, inclusive="neither").all() and distance < best_distance:
                best, best_distance = inside, distance
    return best
