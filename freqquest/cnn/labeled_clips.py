"""A dataset's labeled clips in memory, and their division into training and validation rows.

NumPy and pandas; no Ray. Shapes: N rows, M mel bands, T frames, D values of a vector, K classes.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from freqquest.cnn.scores import Score, score_of
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest, Normalization
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.dataset.stratify import count_labels, divide_groups
from freqquest.errors import UserError
from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledClips:
    """Training and validation rows of a dataset, followed by extra clips."""

    spectrograms: np.ndarray
    """`[N, M, T]`, float16."""
    class_indices: np.ndarray
    """`[N]`, int64; the rarest of several labels."""
    labels: np.ndarray
    """`[N, K]`, bool: all labels."""
    has_several_labels: bool
    """Whether clips of the dataset may have several labels."""
    is_training_only: np.ndarray
    """`[N]`, bool: augmented copies and extra clips, on which nothing is evaluated."""
    clip_ids: np.ndarray
    """`[N]`, str; an augmented copy has the ID of its original, and parts of one file differ."""
    recordings: np.ndarray
    """`[N]`, str."""
    groups: np.ndarray
    """`[N]`, str: the fold, else the recording: never divided between training and validation."""
    is_validation: np.ndarray
    """`[N]`, bool: membership in the dataset's validation split."""
    paths: np.ndarray
    """`[N]`, str: audio files."""
    start_s: np.ndarray
    """`[N]`, float64: start of each clip in its file, in seconds."""
    end_s: np.ndarray
    """`[N]`, float64: end of each clip in its file, in seconds; NaN if only the clip's length or
    the file ends it."""
    classes: tuple[str, ...]
    normalization: Normalization
    vectors: np.ndarray | None = None
    """`[N, D]`, float32: vectors of a pretrained network; None if the dataset has none."""
    background_label: str | None = None
    """Class that is the background, if there is one."""

    @property
    def background_index(self) -> int | None:
        """Index of the background among the classes, if there is one."""
        return None if self.background_label is None else self.classes.index(self.background_label)

    @property
    def score(self) -> Score:
        """Score of predictions of these clips."""
        return score_of(self.has_several_labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRows:
    """Row numbers of one division of the clips."""

    train: np.ndarray
    """Rows to train on, augmented copies and extra clips included."""
    validation: np.ndarray
    """Rows to evaluate on, originals only; may be empty."""


def load_labeled(dataset: Location, manifest: Manifest) -> LabeledClips:
    """Read a dataset's training and validation clips into memory.

    Raises:
        UserError: A shard is missing or corrupt.
    """
    splits = [SplitReader(dataset, manifest, split, "cnn") for split in ("train", "validation")]
    rows = pd.concat([read_rows(dataset, manifest, split) for split in ("train", "validation")])
    has_folds = rows["fold"].notna().all() and rows["fold"].nunique() > 1
    inputs, labels = _read_arrays(splits, manifest)
    return LabeledClips(
        spectrograms=inputs.spectrograms,
        vectors=inputs.vectors,
        class_indices=rows["class_index"].to_numpy(),
        labels=labels,
        has_several_labels=manifest.has_several_labels,
        is_training_only=(rows["augmentation"] != NOT_AUGMENTED).to_numpy(),
        clip_ids=rows["clip_id"].to_numpy(str),
        recordings=rows["recording"].to_numpy(str),
        groups=rows["fold" if has_folds else "recording"].to_numpy(str),
        is_validation=(rows["split"] == "validation").to_numpy(),
        paths=rows["path"].to_numpy(str),
        start_s=rows["start_s"].to_numpy(float),
        end_s=rows["end_s"].to_numpy(float),
        classes=tuple(manifest.classes),
        normalization=manifest.normalization["cnn"],
        background_label=manifest.background_label,
    )


def _read_arrays(splits: list[SplitReader], manifest: Manifest) -> tuple[Inputs, np.ndarray]:
    """Return inputs and labels of several splits, without a second copy in memory."""
    view, num_clips = manifest.views["cnn"], sum(map(len, splits))
    spectrograms = np.empty((num_clips, view.num_mels, view.num_frames), np.float16)
    vectors = None
    if manifest.embedding is not None:
        vectors = np.empty((num_clips, manifest.embedding.num_values), np.float32)
    labels = np.empty((num_clips, len(manifest.classes)), bool)
    start = 0
    for split in splits:
        for shard in split.shards():
            end = start + len(shard.spectrograms)
            spectrograms[start:end], labels[start:end] = shard.spectrograms, shard.labels
            if vectors is not None:
                vectors[start:end] = shard.vectors
            start = end
    return Inputs(spectrograms, vectors), labels


def add_extra(clips: LabeledClips, extra: pd.DataFrame, inputs: Inputs) -> LabeledClips:
    """Append extra clips, which are in the training rows of every division and never in validation.

    Each counts as its own recording; the dataset's normalization is kept.

    Args:
        clips: Clips of a dataset.
        extra: Columns `path` and `label`, as returned by `find_extra`.
        inputs: Inputs of the extra clips, by the dataset's analysis.

    Raises:
        UserError: An extra clip is in the dataset already.
    """
    shared = set(extra["path"]) & set(clips.paths)
    if shared:
        raise UserError(
            f"`extra_clips`: {min(shared)} is in the dataset already: give a folder of other clips"
        )
    names = np.array([f"extra clip {path}" for path in extra["path"]])
    class_indices = [clips.classes.index(label) for label in extra["label"]]
    return replace(
        clips,
        spectrograms=np.concatenate([clips.spectrograms, inputs.spectrograms.astype(np.float16)]),
        vectors=None if clips.vectors is None else np.concatenate([clips.vectors, inputs.vectors]),
        class_indices=np.append(clips.class_indices, class_indices),
        labels=np.concatenate(
            [clips.labels, np.eye(len(clips.classes), dtype=bool)[class_indices]]
        ),
        is_training_only=np.append(clips.is_training_only, np.ones(len(extra), bool)),
        clip_ids=np.append(clips.clip_ids, names),
        recordings=np.append(clips.recordings, names),
        groups=np.append(clips.groups, names),
        is_validation=np.append(clips.is_validation, np.zeros(len(extra), bool)),
        paths=np.append(clips.paths, extra["path"].to_numpy(str)),
        start_s=np.append(clips.start_s, np.zeros(len(extra))),
        end_s=np.append(clips.end_s, np.full(len(extra), np.nan)),
    )


def dataset_split(clips: LabeledClips) -> SplitRows:
    """Return the dataset's own split."""
    return SplitRows(
        train=np.flatnonzero(~clips.is_validation), validation=np.flatnonzero(clips.is_validation)
    )


def all_clips(clips: LabeledClips) -> SplitRows:
    """Return all rows as training rows, and no validation rows."""
    return SplitRows(train=np.arange(len(clips.class_indices)), validation=np.arange(0))


def hold_out(clips: LabeledClips, rows: np.ndarray) -> SplitRows:
    """Hold out these rows for validation; train on all others except their augmented copies."""
    train = ~np.isin(clips.clip_ids, clips.clip_ids[rows])
    return SplitRows(train=np.flatnonzero(train), validation=rows)


def fewest_groups(clips: LabeledClips) -> tuple[int, str]:
    """Return the smallest number of groups (recordings or folds) of a class, and the class."""
    groups, labels = clips.groups[~clips.is_training_only], clips.labels[~clips.is_training_only]
    return min(
        (len(set(groups[labels[:, index]])), label) for index, label in enumerate(clips.classes)
    )


def cross_validation(clips: LabeledClips, num_folds: int, seed: int) -> list[SplitRows]:
    """Return folds that hold out whole groups, so that every original clip is held out once.

    The groups are the dataset's own folds if it has any, else its recordings, distributed so that
    each has about the same share of every label.

    Raises:
        UserError: A class has fewer groups than `num_folds`, or a recording is in two folds.
    """
    fewest, label = fewest_groups(clips)
    if fewest < num_folds:
        raise UserError(
            f"`num_folds={num_folds}` needs as many recordings (or folds of the dataset) of each "
            f"class, and class {label} has {fewest}: use at most {fewest} folds"
        )
    originals = np.flatnonzero(~clips.is_training_only)
    groups = clips.groups[originals]
    num_groups = pd.Series(groups).groupby(clips.recordings[originals]).nunique()
    if num_groups.max() > 1:
        raise UserError(
            f"`num_folds`: recording {num_groups.idxmax()} is in {num_groups.max()} folds: correct "
            "the metadata"
        )
    if len(set(groups)) == num_folds:
        return [hold_out(clips, originals[groups == group]) for group in sorted(set(groups))]
    numbers, _ = pd.factorize(groups)
    rows, labels = np.nonzero(clips.labels[originals])  # a clip is counted for each of its labels
    counts = count_labels(numbers[rows], labels)
    parts = divide_groups(counts, [1 / num_folds] * num_folds, seed)
    return [hold_out(clips, originals[parts[numbers] == part]) for part in range(num_folds)]
