"""What a classifier learns from: a dataset's labeled clips in memory, and which of them it may see.

NumPy, pandas and scikit-learn. Shapes: N rows, M mel bands, T frames.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest, Normalization
from freqquest.dataset.read import read_rows, read_split
from freqquest.errors import UserError
from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledClips:
    """All labeled rows of a dataset but its test split, then extra ones; in Ray's object store once for all trials."""

    spectrograms: np.ndarray
    """`[N, M, T]`, float16."""
    class_indices: np.ndarray
    """`[N]`, int64."""
    only_trains: np.ndarray
    """`[N]`, bool: varied copies and extra clips, which nothing is judged by."""
    clip_ids: np.ndarray
    """`[N]`, str; a copy has its clip's."""
    recordings: np.ndarray
    """`[N]`, str."""
    groups: np.ndarray
    """`[N]`, str: what must not be divided between training and validation: the fold, else the recording."""
    is_validation: np.ndarray
    """`[N]`, bool: the dataset's own split."""
    paths: np.ndarray
    """`[N]`, str: the audio files."""
    classes: tuple[str, ...]
    normalization: Normalization


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRows:
    """Row numbers of one split of the clips."""

    train: np.ndarray
    """Copies and extra clips included."""
    validation: np.ndarray
    """Without them; may be empty."""


def load_labeled(dataset: Location, manifest: Manifest) -> LabeledClips:
    """Read the training and validation clips into memory.

    Raises:
        UserError: A shard is missing or damaged.
    """
    splits = [read_split(dataset, manifest, split, "cnn") for split in ("train", "validation")]
    rows = pd.concat([read_rows(dataset, manifest, split) for split in ("train", "validation")])
    has_folds = rows["fold"].notna().all() and rows["fold"].nunique() > 1
    return LabeledClips(
        spectrograms=np.concatenate([split.spectrograms for split in splits]),
        class_indices=rows["class_index"].to_numpy(),
        only_trains=(rows["augmentation"] != NOT_AUGMENTED).to_numpy(),
        clip_ids=rows["clip_id"].to_numpy(str),
        recordings=rows["recording"].to_numpy(str),
        groups=rows["fold" if has_folds else "recording"].to_numpy(str),
        is_validation=(rows["split"] == "validation").to_numpy(),
        paths=rows["path"].to_numpy(str),
        classes=tuple(manifest.classes),
        normalization=manifest.normalization["cnn"],
    )


def add_extra(clips: LabeledClips, extra: pd.DataFrame, spectrograms: np.ndarray) -> LabeledClips:
    """Clips with more of them at the end, which are in every part's training rows and in no validation rows.

    Each counts as a recording of its own, and the dataset's normalization stays.

    Args:
        clips: Of a dataset.
        extra: Table of clips: `path` and `label`, of `find_extra`.
        spectrograms: `[N, M, T]` of these, as the dataset has them.

    Raises:
        UserError: An extra clip is one of the dataset's own.
    """
    shared = set(extra["path"]) & set(clips.paths)
    if shared:
        raise UserError(
            f"--extra-clips: {min(shared)} is a clip of the dataset already: name a folder of other clips"
        )
    names = np.array([f"extra clip {path}" for path in extra["path"]])
    return replace(
        clips,
        spectrograms=np.concatenate([clips.spectrograms, spectrograms.astype(np.float16)]),
        class_indices=np.append(
            clips.class_indices, [clips.classes.index(label) for label in extra["label"]]
        ),
        only_trains=np.append(clips.only_trains, np.ones(len(extra), bool)),
        clip_ids=np.append(clips.clip_ids, names),
        recordings=np.append(clips.recordings, names),
        groups=np.append(clips.groups, names),
        is_validation=np.append(clips.is_validation, np.zeros(len(extra), bool)),
        paths=np.append(clips.paths, extra["path"].to_numpy(str)),
    )


def dataset_split(clips: LabeledClips) -> SplitRows:
    """The dataset's own split."""
    return SplitRows(
        train=np.flatnonzero(~clips.is_validation), validation=np.flatnonzero(clips.is_validation)
    )


def all_clips(clips: LabeledClips) -> SplitRows:
    """All to learn from, nothing to be judged by."""
    return SplitRows(train=np.arange(len(clips.class_indices)), validation=np.arange(0))


def hold_out(clips: LabeledClips, rows: np.ndarray) -> SplitRows:
    """These rows to be judged by; all others but their copies to learn from."""
    train = ~np.isin(clips.clip_ids, clips.clip_ids[rows])
    return SplitRows(train=np.flatnonzero(train), validation=rows)


def fewest_groups(clips: LabeledClips) -> int:
    """Recordings or folds of the class that has the fewest."""
    groups, labels = clips.groups[~clips.only_trains], clips.class_indices[~clips.only_trains]
    return min(len(set(groups[labels == index])) for index in range(len(clips.classes)))


def cross_validation(clips: LabeledClips, num_folds: int, seed: int) -> list[SplitRows]:
    """Parts in each of which other whole groups are held out; every clip is held out once.

    The groups are the dataset's folds where it has them, else recordings, dealt out such that classes are balanced.

    Raises:
        UserError: A class has fewer groups than there are parts, or a recording is in two folds.
    """
    if fewest_groups(clips) < num_folds:
        raise UserError(
            f"--num-folds {num_folds} needs as many recordings (or folds, where the dataset has them) of each class; "
            f"one has {fewest_groups(clips)}"
        )
    originals = np.flatnonzero(~clips.only_trains)
    groups, labels = clips.groups[originals], clips.class_indices[originals]
    homes = pd.Series(groups).groupby(clips.recordings[originals]).nunique()
    if homes.max() > 1:
        raise UserError(
            f"--num-folds: recording {homes.idxmax()} is in {homes.max()} folds: correct the metadata"
        )
    if len(set(groups)) == num_folds:
        return [hold_out(clips, originals[groups == group]) for group in sorted(set(groups))]
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    return [
        hold_out(clips, originals[held_out])
        for _, held_out in splitter.split(labels, labels, groups)
    ]
