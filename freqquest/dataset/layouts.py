"""Known layouts of audio folders: data sets as they were downloaded, and folders of classes.

pandas only. `LAYOUTS` holds one function for each kind of layout, in the order in which they are
tried; a function returns None if the folder has another layout.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from freqquest.dataset.background import FOLDERS
from freqquest.dataset.file_names import count_files, top_folders
from freqquest.dataset.folder_layouts import (
    have_split_classes,
    read_class_folders,
    read_fold_folders,
    read_speech_commands,
    read_split_folders,
)
from freqquest.dataset.listed_clips import find_listed
from freqquest.dataset.metadata import OtherTableError, read_metadata
from freqquest.dataset.tree import Sources, Tree

Layout = Callable[[Tree], Sources | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """A table of a data set and the folder of its clips."""

    table: str
    folder: str
    split: str | None = None
    """Split of all its clips; None if the table or the job decides."""


TABLES: tuple[tuple[str, tuple[_Part, ...]], ...] = (
    ("UrbanSound8K", (_Part(table="metadata/UrbanSound8K.csv", folder="audio"),)),
    ("ESC-50", (_Part(table="meta/esc50.csv", folder="audio"),)),
    (
        "FSD50K",
        (
            _Part(table="FSD50K.ground_truth/dev.csv", folder="FSD50K.dev_audio"),
            _Part(table="FSD50K.ground_truth/eval.csv", folder="FSD50K.eval_audio", split="test"),
        ),
    ),
    (
        "FSDKaggle2018",
        (
            _Part(
                table="FSDKaggle2018.meta/train_post_competition.csv",
                folder="FSDKaggle2018.audio_train",
            ),
            _Part(
                table="FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
                folder="FSDKaggle2018.audio_test",
                split="test",
            ),
        ),
    ),
    ("BirdCLEF", (_Part(table="train_metadata.csv", folder="train_audio"),)),
    ("BirdCLEF", (_Part(table="train_metadata.csv", folder="train_short_audio"),)),
)
"""Data sets that come with tables. One that has the first table and its folder is recognized."""

KAGGLE = tuple(
    _Part(table="train.csv", folder=name)
    for name in ("audio_train", "Train", "train", "train_audio")
)
"""Tables of Kaggle's challenges. Their names are so common that the folders may know better."""


def find_by_layout(tree: Tree, *, with_tables: bool = True) -> Sources:
    """Return the clips below a folder, labeled by the first layout that fits.

    Args:
        tree: Files of the folder.
        with_tables: False if only the folders may label the clips.

    Raises:
        UserError: The folder has no class folders, or a class folder has no audio.
    """
    tree, background = _set_background_aside(tree)
    notes = list[str]()
    for read in LAYOUTS:
        sources = read(tree) if with_tables or read not in _TABLE_LAYOUTS else None
        if sources is not None:
            if with_tables and read not in _TABLE_LAYOUTS and KAGGLE[0].table in tree.others:
                notes.append(f"not used: {KAGGLE[0].table} (else give it as `metadata`)")
            clips = sources.clips
            if len(background):
                clips = pd.concat([clips, background]).sort_values("clip_id", ignore_index=True)
            return replace(sources, clips=clips, notes=[*sources.notes, *notes])
    raise AssertionError("class folders fit or are refused")


def _set_background_aside(tree: Tree) -> tuple[Tree, pd.DataFrame]:
    """Return the tree without a background beside the classes, and its clips.

    It fits no layout: data sets know it not at all, or as a folder of other names and lengths.
    """
    tops = top_folders(tree.clips["clip_id"])
    is_background = tops.str.lower().isin(FOLDERS)
    if is_background.all() or not is_background.any():
        return tree, tree.clips[:0]
    kept = replace(
        tree,
        clips=tree.clips[~is_background].reset_index(drop=True),
        folders=[name for name in tree.folders if name.split("/")[0].lower() not in FOLDERS],
    )
    return kept, tree.clips[is_background].assign(label=tops[is_background])


def read_tables(tree: Tree) -> Sources | None:
    """Return the clips of a data set that comes with tables."""
    others, dirs = set(tree.others), set(tree.folders)
    for name, parts in TABLES:
        present = [part for part in parts if part.table in others and part.folder in dirs]
        if present[:1] == [parts[0]]:
            return _read_parts(tree, name, present)
    return None


def read_kaggle(tree: Tree) -> Sources | None:
    """Return the clips of Kaggle's train.csv, unless it is another table or the folders label."""
    others, dirs = set(tree.others), set(tree.folders)
    parts = [part for part in KAGGLE if part.table in others and part.folder in dirs]
    if not parts or have_split_classes(tree):
        return None
    try:
        return _read_parts(tree, "Kaggle", parts[:1])
    except OtherTableError:
        inside = tree.clips["clip_id"][tree.clips["clip_id"].str.startswith(f"{parts[0].folder}/")]
        if inside.empty or (inside.str.count("/") < 2).any():
            raise
        return None


def _read_parts(tree: Tree, name: str, parts: list[_Part]) -> Sources:
    clip_ids = tree.clips["clip_id"]
    found, is_elsewhere = [], pd.Series(True, clip_ids.index)
    for part in parts:
        is_here = clip_ids.str.startswith(f"{part.folder}/")
        is_elsewhere &= ~is_here
        inside = tree.clips[is_here].reset_index(drop=True)
        inside["clip_id"] = inside["clip_id"].str.slice(len(part.folder) + 1)
        file = tree.root / part.table
        metadata = read_metadata(file, str(file))
        if not metadata.has_labels:
            raise OtherTableError(f"{file} has no labels: add them as the column label")
        sources = find_listed(replace(tree, root=tree.root / part.folder, clips=inside), metadata)
        clips = sources.clips.assign(clip_id=f"{part.folder}/" + sources.clips["clip_id"])
        found.append(
            replace(sources, clips=clips if part.split is None else clips.assign(split=part.split))
        )
    tables = ", ".join(part.table for part in parts)
    notes = [f"layout: {name} ({tables})", *(note for sources in found for note in sources.notes)]
    if is_elsewhere.any():
        places = ", ".join(top_folders(clip_ids[is_elsewhere]).replace("", ".").unique()[:5])
        notes.append(f"set aside: {count_files(is_elsewhere.sum())} without a table in {places}")
    return Sources(
        clips=pd.concat([sources.clips for sources in found], ignore_index=True).sort_values(
            "clip_id", ignore_index=True
        ),
        rejected=pd.concat([sources.rejected for sources in found], ignore_index=True),
        notes=notes,
        recordings_from=" and ".join(
            dict.fromkeys(part.recordings_from for part in found if part.recordings_from)
        ),
    )


_TABLE_LAYOUTS: tuple[Layout, ...] = (read_tables, read_kaggle)

LAYOUTS: tuple[Layout, ...] = (
    *_TABLE_LAYOUTS,
    read_speech_commands,
    read_split_folders,
    read_fold_folders,
    read_class_folders,
)
"""All layouts, in the order in which they are tried."""
