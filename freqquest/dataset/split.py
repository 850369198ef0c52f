"""Division of labeled clips into training and validation, without dividing a recording.

NumPy and pandas; pure functions of the table and the settings.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.labels import class_names, single_labels
from freqquest.dataset.stratify import count_labels, divide_groups, label_shares
from freqquest.errors import UserError

_MAX_NAMED = 5
"""Classes or folds that an error names."""


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
        splits, note = _stratified_split(clips, clips["clip_id"], config)
        memory = "recordings are in both, so accuracy measures memory"
        kind = "clips" if config.windows == "first" else "files"
        return splits, f"random split of {kind} ({memory}){note}"
    has_folds = clips["fold"].nunique() > 1
    if config.validation_fold is not None and not has_folds:
        raise UserError(
            f"`validation_fold={config.validation_fold}` needs at least two folds, and a fold for "
            "every clip: complete the column fold, or leave `validation_fold` out"
        )
    has_splits = clips["split"].notna().any() and config.validation_fold is None
    if has_splits:
        _require_all(clips, "split")
    if has_splits and (clips["split"] == "validation").any():
        _require_every_class(clips)
        return clips["split"], f"the dataset's own split, {_describe_recordings(clips)}"
    origin = ", held out of the dataset's own training split" if has_splits else ""
    if has_folds:
        _require_all(clips, "fold")
        fold = _choose_fold(clips, config)
        splits = (clips["fold"] == fold).map({True: "validation", False: "train"})
        return splits, f"fold {fold}, {_describe_recordings(clips)}{origin}"
    splits, note = _stratified_split(clips, clips["recording"], config)
    return splits, f"{_describe_recordings(clips)}{origin}{note}"


def _require_all(clips: pd.DataFrame, column: str) -> None:
    if clips[column].isna().any():
        first = clips["clip_id"][clips[column].isna()].iloc[0]
        raise UserError(
            f"{first} has no {column}, but other clips have: complete or remove the column {column}"
        )


def _require_every_class(clips: pd.DataFrame) -> None:
    for split in ("train", "validation"):
        missing = set(class_names(clips["label"]))
        missing -= set(class_names(clips["label"][clips["split"] == split]))
        if missing:
            raise UserError(
                f"the dataset's own split has no clip of class {min(missing)} in {split}: each "
                "class needs clips in train and validation; add some, or remove the column, the "
                "lists or the folders of splits, to split by recording"
            )


def _describe_recordings(clips: pd.DataFrame) -> str:
    num_unknown = int((clips["recording"] == clips["clip_id"]).sum())
    if num_unknown == 0:
        return "recordings unseen in training"
    which = "all files" if num_unknown == len(clips) else f"{num_unknown} of {len(clips)} files"
    return (
        f"clips unseen in training, but the recordings of {which} are unknown: other clips of them "
        "may be in training"
    )


def _choose_fold(clips: pd.DataFrame, config: PreprocessConfig) -> int:
    """Return the configured fold, or else the fold with every class that is closest in size."""
    by_label = clips[["fold"]].join(single_labels(clips["label"]))
    counts = pd.crosstab(by_label["fold"], by_label["label"])
    is_usable = ((counts > 0) & (counts < counts.sum())).all(axis=1)
    usable: list[int] = counts.index[is_usable].tolist()
    chosen = config.validation_fold
    if chosen is not None and chosen not in counts.index:
        raise UserError(
            f"`validation_fold={chosen}` must be one of: {_list_some(counts.index.tolist())}"
        )
    if not usable:
        num_folds = (counts > 0).sum()
        raise UserError(
            f"no fold leaves every class in both splits (class {num_folds.idxmin()} is in "
            f"{num_folds.min()} of {len(counts)} folds): put clips of each class into every fold, "
            "or remove the column fold of `metadata` to split by recording"
        )
    if chosen is not None and chosen not in usable:
        raise UserError(
            f"`validation_fold={chosen}` does not leave every class in both splits: use one of: "
            f"{_list_some(usable)}"
        )
    distances = (counts.sum(axis=1) / len(by_label) - config.validation_fraction).abs()
    return usable[int(np.argmin(distances[is_usable]))] if chosen is None else chosen


def _require_whole_recordings(recordings: pd.Series, splits: pd.Series) -> None:
    """Refuse folds or splits that divide a recording, which would leak."""
    numbers, names = pd.factorize(recordings)
    split_numbers, split_names = pd.factorize(splits)
    some_split = np.empty(len(names), np.int64)
    some_split[numbers] = split_numbers
    divided = np.flatnonzero(some_split[numbers] != split_numbers)
    if len(divided):
        row = divided[0]
        pair = sorted(split_names[[some_split[numbers[row]], split_numbers[row]]])
        raise UserError(
            f"recording {names[numbers[row]]} has clips in {' and '.join(pair)}: correct or remove "
            "the column, the lists or the folders that give its clips a fold or split"
        )


def _stratified_split(
    clips: pd.DataFrame, groups: pd.Series, config: PreprocessConfig
) -> tuple[pd.Series, str]:
    """Divide groups of clips, so that validation has about the same fraction of each class.

    Returns:
        The split of each clip, and a note on the class that is far from `validation_fraction`,
        which is empty if there is none.
    """
    group_numbers, counts, labels = count_groups(clips, groups)
    _require_two_groups(counts, labels)
    fraction = config.validation_fraction
    parts = divide_groups(counts, (1 - fraction, fraction), config.seed)
    shares = label_shares(counts, parts, 2)
    _require_both(shares, labels, clips)
    splits = np.array(["train", "validation"], object)[parts[group_numbers]]
    return pd.Series(splits, clips.index), _describe_far(counts, labels, shares[1], config)


def count_groups(clips: pd.DataFrame, groups: pd.Series) -> tuple[np.ndarray, csr_array, pd.Index]:
    """Return each clip's group, int from 0, the clips of each group and label, and the labels."""
    numbers, _ = pd.factorize(groups)
    single = single_labels(clips["label"])
    label_numbers, labels = pd.factorize(single, sort=True)
    counts = count_labels(numbers[clips.index.get_indexer(single.index)], label_numbers)
    return numbers, counts, labels


def _require_two_groups(counts: csr_array, labels: pd.Index) -> None:
    """Refuse classes of one recording, or with a random split of one clip."""
    num_clips = np.asarray(counts.sum(axis=0))
    num_groups = np.bincount(counts.indices)
    if num_clips.min() < 2:
        raise UserError(
            f"{_have(labels[num_clips < 2])} only one clip: a split needs at least two of each "
            "class; add clips of other recordings, or remove the class"
        )
    if num_groups.min() < 2:
        raise UserError(
            f"{_have(labels[num_groups < 2])} only one recording: a split by recording needs at "
            "least two of each class, and files of equal content are one; add recordings, or use "
            "`split=random` in the preprocess job and distrust its accuracy"
        )


def _require_both(shares: np.ndarray, labels: pd.Index, clips: pd.DataFrame) -> None:
    """Refuse a division that leaves a class out of a split, as recordings of many classes may."""
    missing = labels[(shares == 0).any(axis=0)]
    if len(missing):
        raise UserError(
            f"no split of the {clips['recording'].nunique()} recordings leaves every class in both "
            f"splits, because they have clips of several classes: add recordings of "
            f"{_list_some(missing.tolist())} alone, or use `split=random` in the preprocess job "
            "and distrust its accuracy"
        )


def _describe_far(
    counts: csr_array, labels: pd.Index, shares: np.ndarray, config: PreprocessConfig
) -> str:
    """Return a note on the class whose share in validation is farthest from the fraction, and why.

    It is empty if all are closer than half of the smaller split.
    """
    fraction = config.validation_fraction
    tolerance = _tolerance(fraction)
    distances = np.abs(shares - fraction)
    if distances.max() <= tolerance:
        return ""
    worst = int(distances.argmax())
    sizes = counts[:, [worst]].data / counts[:, [worst]].data.sum()
    kind = "clips" if config.split == "random" else "recordings"
    if sizes.max() <= tolerance:
        reason = "its recordings have clips of other classes"
    elif sizes.max() > 1.5 / len(sizes):
        reason = f"one of its {len(sizes)} {kind} has {sizes.max():.2g} of its clips"
    else:
        reason = f"the class has {len(sizes)} {kind}"
    others = [label for label in labels[distances > tolerance] if label != labels[worst]]
    also = f"; also far: {_list_some(others)}" if others else ""
    return (
        f" ({shares[worst]:.2g} of class {labels[worst]} instead of {fraction:g}: {reason}{also})"
    )


def describe_windows(windows: pd.DataFrame, files: pd.DataFrame, fraction: float) -> str:
    """Return a note on the class whose windows are divided worse than its files, if any.

    Files are divided before their lengths are known.

    Args:
        windows: Table of windows, with their splits.
        files: Table of the clips that were divided into windows.
        fraction: Fraction of the clips that was to be held out.
    """
    shares, file_shares = _validation_shares(windows), _validation_shares(files)
    distances = (shares - fraction).abs()
    # Where the files are as far, the note on their split says why.
    distances = distances[distances > (file_shares - fraction).abs() + 0.01]
    if not len(distances) or distances.max() <= _tolerance(fraction):
        return ""
    worst = str(distances.idxmax())
    return (
        f" ({shares[worst]:.2g} of the {worst} windows instead of {fraction:g}: files differ in "
        "length, or have several windows of few recordings)"
    )


def _validation_shares(clips: pd.DataFrame) -> pd.Series:
    """Return the share of each label's clips that is held out for validation."""
    learned = clips[clips["split"] != "test"]
    by_label = learned[["split"]].join(single_labels(learned["label"]))
    return (by_label["split"] == "validation").groupby(by_label["label"]).mean()


def _tolerance(fraction: float) -> float:
    """Return how far a share may be from the fraction: half of the smaller split."""
    return min(fraction, 1 - fraction) / 2


def _have(labels: pd.Index) -> str:
    names = _list_some(labels.tolist())
    return f"class {names} has" if len(labels) == 1 else f"classes {names} have"


def _list_some(names: Sequence[object]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _MAX_NAMED
    shown = ", ".join(map(str, names[:_MAX_NAMED]))
    return f"{shown} and {more} more" if more > 0 else shown
