"""A dataset's labeled clips, and their division into training and validation rows.

NumPy and pandas; no Ray. Shapes: N rows, M mel bands, T frames, D values of a vector, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import union_categoricals

from freqquest.cnn.scores import Score, score_of
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import (
    EMBEDDING_COLUMN,
    NOT_AUGMENTED,
    Manifest,
    Normalization,
)
from freqquest.dataset.read import (
    SplitReader,
    label_matrix,
    read_row_table,
    read_table,
    shards_of,
    vectors_in,
)
from freqquest.dataset.sharded_spectrograms import Rows, ShardedSpectrograms
from freqquest.dataset.stratify import count_labels, divide_groups
from freqquest.errors import UserError
from freqquest.storage import Location

_TEXT = pd.StringDtype("pyarrow", na_value=np.nan)

_SPLITS = ("train", "validation")

MAX_BYTES = 2**30
"""Most bytes of spectrograms in memory. A larger dataset is read from its shards."""

Spectrograms = np.ndarray | ShardedSpectrograms


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledClips:
    """Training and validation rows of a dataset, followed by extra clips."""

    spectrograms: Spectrograms
    """`[N, M, T]`, float16."""
    class_indices: np.ndarray
    """`[N]`, int64; the rarest of several labels."""
    labels: np.ndarray
    """`[N, K]`, bool: all labels."""
    has_several_labels: bool
    """Whether clips of the dataset may have several labels."""
    is_training_only: np.ndarray
    """`[N]`, bool: augmented copies and extra clips, on which nothing is evaluated."""
    clip_ids: pd.Categorical
    """`[N]`; an augmented copy has the ID of its original, and parts of one file differ."""
    recordings: pd.Categorical
    """`[N]`."""
    groups: pd.Categorical
    """`[N]`: the fold, else the recording: never divided between training and validation."""
    is_validation: np.ndarray
    """`[N]`, bool: membership in the dataset's validation split."""
    paths: pd.Categorical
    """`[N]`: audio files."""
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

    @property
    def held_bytes(self) -> int:
        """Bytes of spectrograms that each training holds for itself, as they are not shared."""
        spectrograms = self.spectrograms
        return spectrograms.max_bytes if isinstance(spectrograms, ShardedSpectrograms) else 0

    def inputs(self, rows: np.ndarray) -> Inputs:
        """Return the inputs of a CNN for some rows `[N]`, which predictions slice."""
        if isinstance(self.spectrograms, ShardedSpectrograms):
            return Inputs(cast(np.ndarray, Rows(self.spectrograms, rows)))
        return Inputs(self.spectrograms[rows])


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRows:
    """Row numbers of one division of the clips."""

    train: np.ndarray
    """Rows to train on, augmented copies and extra clips included."""
    validation: np.ndarray
    """Rows to evaluate on, originals only; may be empty."""


def load_labeled(dataset: Location, manifest: Manifest, max_bytes: int = MAX_BYTES) -> LabeledClips:
    """Read a dataset's training and validation clips.

    Args:
        dataset: Folder of the dataset.
        manifest: Its manifest.
        max_bytes: Most bytes of spectrograms in memory. If there are more, they are read from the
            shards when they are needed.

    Raises:
        UserError: A split is empty, or a shard is missing or corrupt.
    """
    rows = pa.concat_tables([read_row_table(dataset, manifest, split) for split in _SPLITS])
    folds = rows["fold"].cast(pa.string())
    has_folds = not folds.null_count and len(folds.unique()) > 1
    view = manifest.views["cnn"]
    num_bytes = 2 * len(rows) * view.num_mels * view.num_frames
    spectrograms, vectors = (
        _open_shards(dataset, manifest, max_bytes)
        if num_bytes > max_bytes
        else _read_arrays(dataset, manifest)
    )
    return LabeledClips(
        spectrograms=spectrograms,
        vectors=vectors,
        class_indices=rows["class_index"].to_numpy(),
        labels=label_matrix(rows["class_indices"], len(manifest.classes)),
        has_several_labels=manifest.has_several_labels,
        is_training_only=pc.not_equal(rows["augmentation"], NOT_AUGMENTED).to_numpy(),
        clip_ids=_categories(rows["clip_id"]),
        recordings=_categories(rows["recording"]),
        groups=_categories(folds if has_folds else rows["recording"]),
        is_validation=pc.equal(rows["split"], "validation").to_numpy(),
        paths=_categories(rows["path"]),
        start_s=rows["start_s"].to_numpy(),
        end_s=rows["end_s"].to_numpy(),
        classes=tuple(manifest.classes),
        normalization=manifest.normalization["cnn"],
        background_label=manifest.background_label,
    )


def _categories(column: pa.ChunkedArray) -> pd.Categorical:
    """Return strings as numbers, and each different string once, in one buffer."""
    encoded = column.dictionary_encode().combine_chunks()
    names = pd.Index(encoded.dictionary.to_pandas(types_mapper={pa.string(): _TEXT}.get))
    return pd.Categorical.from_codes(encoded.indices.to_numpy(), names)


def append_names(names: pd.Categorical, more: Sequence[str]) -> pd.Categorical:
    """Append strings."""
    return union_categoricals([names, pd.Categorical(pd.array(more, _TEXT))])


def _read_arrays(dataset: Location, manifest: Manifest) -> tuple[np.ndarray, np.ndarray | None]:
    """Return spectrograms and vectors of both splits, without a second copy in memory."""
    splits = [SplitReader(dataset, manifest, split, "cnn") for split in _SPLITS]
    view, num_clips = manifest.views["cnn"], sum(map(len, splits))
    spectrograms = np.empty((num_clips, view.num_mels, view.num_frames), np.float16)
    vectors = None
    if manifest.embedding is not None:
        vectors = np.empty((num_clips, manifest.embedding.num_values), np.float32)
    start = 0
    for split in splits:
        for shard in split.shards():
            end = start + len(shard.spectrograms)
            spectrograms[start:end] = shard.spectrograms
            if vectors is not None:
                vectors[start:end] = shard.vectors
            start = end
    return spectrograms, vectors


def _open_shards(
    dataset: Location, manifest: Manifest, max_bytes: int
) -> tuple[ShardedSpectrograms, np.ndarray | None]:
    """Return spectrograms that stay in the shards, and vectors in memory."""
    shards = [shard for split in _SPLITS for shard in shards_of(manifest, split, dataset)]
    spectrograms = ShardedSpectrograms(dataset, manifest, shards, "cnn", max_bytes=max_bytes)
    if manifest.embedding is None:
        return spectrograms, None
    columns = (read_table(dataset, shard, [EMBEDDING_COLUMN]) for shard in shards)
    return spectrograms, vectors_in(pa.concat_tables(columns))


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
    shared = set(extra["path"]) & set(clips.paths.categories)
    if shared:
        raise UserError(
            f"`extra_clips`: {min(shared)} is in the dataset already: give a folder of other clips"
        )
    names = [f"extra clip {path}" for path in extra["path"]]
    class_indices = [clips.classes.index(label) for label in extra["label"]]
    return replace(
        clips,
        spectrograms=_append(clips.spectrograms, inputs.spectrograms.astype(np.float16)),
        vectors=None if clips.vectors is None else np.concatenate([clips.vectors, inputs.vectors]),
        class_indices=np.append(clips.class_indices, class_indices),
        labels=np.concatenate(
            [clips.labels, np.eye(len(clips.classes), dtype=bool)[class_indices]]
        ),
        is_training_only=np.append(clips.is_training_only, np.ones(len(extra), bool)),
        clip_ids=append_names(clips.clip_ids, names),
        recordings=append_names(clips.recordings, names),
        groups=append_names(clips.groups, names),
        is_validation=np.append(clips.is_validation, np.zeros(len(extra), bool)),
        paths=append_names(clips.paths, extra["path"].tolist()),
        start_s=np.append(clips.start_s, np.zeros(len(extra))),
        end_s=np.append(clips.end_s, np.full(len(extra), np.nan)),
    )


def _append(spectrograms: Spectrograms, extra: np.ndarray) -> Spectrograms:
    if isinstance(spectrograms, ShardedSpectrograms):
        return spectrograms.with_extra(extra)
    return np.concatenate([spectrograms, extra])


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
    train = ~np.isin(clips.clip_ids.codes, clips.clip_ids.codes[rows])
    return SplitRows(train=np.flatnonzero(train), validation=rows)


def fewest_groups(clips: LabeledClips) -> tuple[int, str]:
    """Return the smallest number of groups (recordings or folds) of a class, and the class."""
    groups, labels = clips.groups[~clips.is_training_only], clips.labels[~clips.is_training_only]
    return min(
        (len(groups[labels[:, index]].unique()), label) for index, label in enumerate(clips.classes)
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
    recordings = clips.recordings[originals]
    num_groups = pd.Series(groups.codes).groupby(recordings.codes).nunique()
    if num_groups.max() > 1:
        divided = recordings.categories[int(str(num_groups.idxmax()))]
        raise UserError(
            f"`num_folds`: recording {divided} is in {num_groups.max()} folds: correct the metadata"
        )
    if len(groups.unique()) == num_folds:
        return [hold_out(clips, originals[groups == group]) for group in sorted(groups.unique())]
    numbers, _ = pd.factorize(groups)
    rows, labels = np.nonzero(clips.labels[originals])  # a clip is counted for each of its labels
    counts = count_labels(numbers[rows], labels)
    parts = divide_groups(counts, [1 / num_folds] * num_folds, seed)
    return [hold_out(clips, originals[parts[numbers] == part]) for part in range(num_folds)]
