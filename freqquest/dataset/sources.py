"""Clips in folders, CSV files and annotations, with their labels and recordings.

pandas only. A table of clips has the columns CLIP_COLUMNS and one row per clip, sorted by clip_id.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from freqquest.dataset.annotations import find_annotated
from freqquest.dataset.background import complete_places, find_background, in_background_folders
from freqquest.dataset.config import COLUMN_SETTINGS, DatasetSettings
from freqquest.dataset.file_names import is_inside
from freqquest.dataset.labels import class_names
from freqquest.dataset.layouts import find_by_layout
from freqquest.dataset.listed_clips import add_columns, find_listed
from freqquest.dataset.manifest import sha256
from freqquest.dataset.metadata import Metadata, read_metadata
from freqquest.dataset.recordings import find_recordings
from freqquest.dataset.tree import (
    CLIP_COLUMNS,
    Sources,
    Tree,
    describe_held,
    describe_others,
    describe_rejected,
    list_tree,
    require_filled,
)
from freqquest.errors import UserError
from freqquest.local_walk import HIDDEN
from freqquest.storage import locate

__all__ = ["CLIP_COLUMNS", "Sources", "digest", "find_extra", "find_labeled", "find_unlabeled"]

_GENERATED_NAME = re.compile(r"(.+)_\d+_\d+\.\w+")
"""Pattern of generated clips' names, `<label>_<seed>_<index>.wav`. Labels may have underscores."""

_MAX_LABEL_BYTES = 200
"""Longest label, as UTF-8: a file name has at most 255 bytes, and generated clips' names add a seed
and an index."""


def find_labeled(config: DatasetSettings, audio_dir: str) -> Sources:
    """Find the clips below a folder, with labels and recordings.

    Labels come from the annotations, else from the metadata, else from the folder's layout:
    that of a known data set, or the names of class folders.

    Raises:
        UserError: The folder is missing or has no class folders, a folder in it cannot be read or
            has no audio, the metadata or the annotations are invalid or name none of the clips,
            there is only one class, or a label cannot be part of a file name.
    """
    tree = list_tree(audio_dir, "audio_dir")
    sources = _find_clips(config, tree)
    _require_classes(sources, str(tree.root))
    recordings, recording_notes = _recordings(sources, config, is_local=tree.root.is_local)
    clips = sources.clips.assign(recording=recordings)[CLIP_COLUMNS]
    background = find_background(class_names(clips["label"]), config.background_label)
    if background is not None:
        clips = complete_places(clips, background, config)
    return Sources(
        clips=clips,
        background_label=background,
        rejected=sources.rejected,
        notes=[
            *sources.notes,
            *recording_notes,
            *describe_others(tree.others),
            *_similar_labels(class_names(sources.clips["label"])),
        ],
    )


def _recordings(
    sources: Sources, config: DatasetSettings, *, is_local: bool
) -> tuple[pd.Series, list[str]]:
    """Return the recording of each clip, and lines for the summary.

    Folders of a background have names of their own, so they are looked at by themselves.
    """
    is_background = in_background_folders(sources.clips["clip_id"])
    found, notes = [], list[str]()
    for prefix, clips in (
        ("", sources.clips[~is_background]),
        ("background: ", sources.clips[is_background]),
    ):
        if len(clips):
            recordings, lines = find_recordings(
                clips,
                given_by=sources.recordings_from,
                is_guess=config.metadata is None and config.annotations is None,
                pattern=config.recording_pattern,
                is_local=is_local,
            )
            found.append(recordings)
            notes += [prefix + line for line in lines]
    return pd.concat(found).reindex(sources.clips.index), notes


def _find_clips(config: DatasetSettings, tree: Tree) -> Sources:
    """Return the clips by the annotations, the metadata, or the layout."""
    chosen = {
        role: value
        for role, name in COLUMN_SETTINGS.items()
        if (value := getattr(config, name)) is not None
    }
    if config.annotations is not None:
        return find_annotated(tree, config.annotations, chosen, config.label_separator)
    if config.metadata is None:
        return find_by_layout(tree)
    file = locate(config.metadata)
    metadata = read_metadata(file, f"`metadata={file}`", chosen, config.label_separator)
    if not metadata.has_labels:
        return add_columns(find_by_layout(tree, with_tables=False), metadata, str(tree.root))
    sources = find_listed(tree, metadata)
    return replace(sources, notes=[_describe_layout(metadata), *sources.notes])


def _describe_layout(metadata: Metadata) -> str:
    return f"layout: {metadata.format.name} ({metadata.file.name})"


def find_unlabeled(audio_dir: str, parameter: str = "audio_dir") -> Sources:
    """Find the audio files below a folder, without labels; each is its own recording.

    Args:
        audio_dir: Path or URI of the folder.
        parameter: Name of the parameter that gave the path, for errors.

    Raises:
        UserError: The folder is missing or has no audio.
    """
    tree = list_tree(audio_dir, parameter)
    if tree.clips.empty:
        raise UserError(
            f"`{parameter}={tree.root}` has no audio files {describe_held(tree.others)}"
            f"{describe_rejected(tree.rejected)}"
        )
    clips = tree.clips.assign(recording=tree.clips["clip_id"], split="test")
    return Sources(
        clips=clips[CLIP_COLUMNS], rejected=tree.rejected, notes=describe_others(tree.others)
    )


def find_extra(extra_dir: str | None, classes: list[str]) -> pd.DataFrame:
    """Return a table of extra training clips, each its own recording.

    A clip's label is the name of its folder. For a clip directly in `extra_dir`, it is the name
    without the last two numbers (`<label>_<seed>_<index>.wav`).

    Args:
        extra_dir: Folder of clips; None gives an empty table.
        classes: Classes of the dataset.

    Raises:
        UserError: The folder is missing, it or a folder in it has no audio, a file cannot be read,
            or a label is not one of the classes.
    """
    if extra_dir is None:
        return pd.DataFrame(columns=CLIP_COLUMNS)
    tree = list_tree(extra_dir, "extra_clips")
    if not tree.rejected.empty:
        path, reason = tree.rejected.iloc[0]
        raise UserError(f"`extra_clips`: {path} cannot be read ({reason}): fix or remove it")
    require_filled(tree)
    clips = tree.clips
    if clips.empty:
        raise UserError(
            f"`extra_clips={tree.root}` has no audio files {describe_held(tree.others)}"
        )
    labels = [_label_from_path(clip_id) for clip_id in clips["clip_id"]]
    for path, label in zip(clips["path"], labels, strict=True):
        if label not in classes:
            problem = (
                f"has the label {label!r}, but must have" if label else "has no label, but needs"
            )
            raise UserError(
                f"`extra_clips`: {path} {problem} one of: {', '.join(classes)}; name its folder "
                "for the label, or the clip <label>_<seed>_<index>.wav"
            )
    return clips.assign(label=labels, recording=clips["clip_id"])[CLIP_COLUMNS]


def digest(clips: pd.DataFrame) -> str:
    """Return a hash of a table of clips, which a changed file changes; `path` does not count."""
    has_parts = "start_s" in clips and ((clips["start_s"] != 0) | clips["end_s"].notna()).any()
    # Without them, the hash is that of versions that knew no parts of files.
    uncounted = ["path", "source"] if has_parts else ["path", "source", "start_s", "end_s"]
    return sha256(clips.drop(columns=uncounted, errors="ignore").to_csv(index=False).encode())


def _label_from_path(clip_id: str) -> str:
    """Return an extra clip's label by its folder, else by its name, else the empty string."""
    *folders, name = clip_id.split("/")
    if folders:
        return folders[-1]
    generated = _GENERATED_NAME.fullmatch(name)
    return generated[1] if generated else ""


def _require_classes(sources: Sources, root: str) -> None:
    """Refuse fewer than two classes to learn, and labels that cannot be in file names."""
    clips = sources.clips
    learned = set(class_names(clips["label"][clips["split"] != "test"]))
    if len(learned) < 2:
        classes = f"only one class ({learned.pop()})" if learned else "no labeled clips"
        raise UserError(
            f"{root} has {classes}: a classifier needs two or more"
            f"{describe_rejected(sources.rejected)}"
        )
    unknown = set(class_names(clips["label"])) - learned
    if unknown:
        raise UserError(
            f"class {min(unknown)} has only test clips: add other clips, or remove its labels"
        )
    for label in sorted(learned):
        _require_usable(label)


def _require_usable(label: str) -> None:
    """Refuse a label that cannot begin the name of a generated clip."""
    if not is_inside(label) or "/" in label or "\\" in label or label.startswith(HIDDEN):
        raise UserError(
            f"label {label!r} cannot be a file name: use no slashes and no control characters, and "
            f"do not begin it with {' or '.join(HIDDEN[:2])}"
        )
    if (num_bytes := len(label.encode())) > _MAX_LABEL_BYTES:
        raise UserError(
            f"label {label[:40]!r}... is {num_bytes} bytes long, but must have at most "
            f"{_MAX_LABEL_BYTES}, to be part of a file name: shorten it"
        )


def _similar_labels(labels: Iterable[str]) -> list[str]:
    """Return a warning for each group of labels that are probably meant to be one."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        key = "".join(unicodedata.normalize("NFKC", label).casefold().split())
        groups.setdefault(key, []).append(label)
    return [
        f"warning: the labels {', '.join(map(repr, sorted(group)))} differ only by letter case, "
        "spacing or Unicode form, and are different classes"
        for group in groups.values()
        if len(group) > 1
    ]
