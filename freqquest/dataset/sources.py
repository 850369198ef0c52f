"""Clips in folders and CSV files, with their labels and recordings.

pandas only. A table of clips has the columns CLIP_COLUMNS and one row per clip, sorted by clip_id.
"""

import re
from dataclasses import dataclass, field

import pandas as pd

from freqquest.audio.decode import AUDIO_SUFFIXES, is_audio
from freqquest.dataset.manifest import sha256
from freqquest.dataset.metadata import is_inside, read_metadata, stems
from freqquest.errors import UserError
from freqquest.local_walk import Entry
from freqquest.storage import Location, locate

CLIP_COLUMNS = [
    "clip_id",
    "path",
    "start_s",
    "end_s",
    "label",
    "recording",
    "fold",
    "split",
    "num_bytes",
    "modified_ns",
]
"""Columns of a table of clips.

`clip_id` is the path relative to the audio folder, followed by `#` and `start_s` if a file has
several clips. `start_s` is 0 and `end_s` missing (the end of the file) unless the clip is a part of
a file. A clip whose recording is unknown is its own: `recording` equals `clip_id`. `label`, `fold`
and `split` are missing if no source has them.
"""

_DESCRIPTION = ("label", "recording", "fold", "split")
"""Columns that a CSV can provide."""

_GENERATED_NAME = re.compile(r"(.+)_\d+_\d+\.\w+")
"""Pattern of generated clips' names, `<label>_<seed>_<index>.wav`. Labels may have underscores."""

URBANSOUND_NAME = r"^(\d+)-\d+-\d+-\d+$"
"""Pattern of UrbanSound8K's names, `<fsID>-<classID>-<occurrence>-<slice>`; fsID: recording."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Clips of a folder."""

    clips: pd.DataFrame
    """Table of clips."""

    rejected: pd.DataFrame
    """Table of `path` and `reason` for links out of the folder and CSV lines without a file."""

    notes: list[str] = field(default_factory=list)
    """Lines for the summary: what was recognized, set aside, or looks wrong."""


def find_labeled(
    audio_dir: str, metadata: str | None = None, recording_pattern: str | None = None
) -> Sources:
    """Find the clips below a folder, with labels and recordings.

    A clip's label comes from the metadata, else it is the name of its folder. A clip's recording
    comes from the metadata, else from the pattern, else from an UrbanSound8K-style name, else it is
    the clip itself.

    Raises:
        UserError: The folder is missing or has no class folders, a class folder has no audio, the
            metadata is invalid or names none of the clips, or there is only one class.
    """
    root = _require_dir(audio_dir, "audio_dir")
    table, lists_clips = read_metadata(metadata) if metadata is not None else (None, False)
    if table is not None and lists_clips:
        sources = _find_listed(root, table, str(metadata))
    else:
        sources = _find_by_folder(root)
        if table is not None:
            sources = _add_metadata(sources, table, str(metadata))
    clips = sources.clips
    _require_classes(sources, root)
    names = clips["clip_id"].str.rsplit("/", n=1).str[-1]
    recordings = clips["recording"]
    if recording_pattern is not None:
        recordings = recordings.fillna(names.str.extract(recording_pattern).iloc[:, 0])
    recordings = recordings.fillna(stems(names).str.extract(URBANSOUND_NAME)[0])
    clips = clips.assign(recording=recordings.fillna(clips["clip_id"]))
    return Sources(clips=clips[CLIP_COLUMNS], rejected=sources.rejected)


def find_unlabeled(audio_dir: str, parameter: str = "audio_dir") -> Sources:
    """Find the audio files below a folder, without labels; each is its own recording.

    Args:
        audio_dir: Path or URI of the folder.
        parameter: Name of the parameter that gave the path, for errors.

    Raises:
        UserError: The folder is missing or has no audio.
    """
    root = _require_dir(audio_dir, parameter)
    sources = _audio_files(list(root.walk()), root)
    if sources.clips.empty:
        raise UserError(
            f"`{parameter}={root}` has no audio files ({' '.join(AUDIO_SUFFIXES)})"
            f"{_describe_rejected(sources)}"
        )
    clips = sources.clips.assign(
        label=None, recording=sources.clips["clip_id"], fold=None, split="test"
    )
    return Sources(clips=clips[CLIP_COLUMNS], rejected=sources.rejected)


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
    root = _require_dir(extra_dir, "extra_clips")
    entries = list(root.walk())
    sources = _audio_files(entries, root)
    if not sources.rejected.empty:
        path, reason = sources.rejected.iloc[0]
        raise UserError(f"`extra_clips`: {path} cannot be read ({reason}): fix or remove it")
    _require_filled(entries, root)
    clips = sources.clips
    if clips.empty:
        raise UserError(f"`extra_clips={root}` has no audio files ({' '.join(AUDIO_SUFFIXES)})")
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
    has_parts = (clips["start_s"] != 0).any() or clips["end_s"].notna().any()
    # Without them, the hash is that of versions that knew no parts of files.
    uncounted = ["path"] if has_parts else ["path", "start_s", "end_s"]
    return sha256(clips.drop(columns=uncounted).to_csv(index=False).encode())


def _label_from_path(clip_id: str) -> str:
    """Return an extra clip's label by its folder, else by its name, else the empty string."""
    *folders, name = clip_id.split("/")
    if folders:
        return folders[-1]
    generated = _GENERATED_NAME.fullmatch(name)
    return generated[1] if generated else ""


def _require_classes(sources: Sources, root: Location) -> None:
    """Refuse fewer than two classes to learn, and labels that cannot be file names."""
    clips = sources.clips
    learned = set(clips["label"][(clips["split"] != "test").fillna(True)].dropna())
    if len(learned) < 2:
        classes = f"only one class ({learned.pop()})" if learned else "no labeled clips"
        raise UserError(
            f"{root} has {classes}: a classifier needs two or more{_describe_rejected(sources)}"
        )
    unknown = set(clips["label"].dropna()) - learned
    if unknown:
        raise UserError(
            f"class {min(unknown)} has only test clips: add other clips, or remove its labels"
        )
    for label in learned:
        if not is_inside(label) or "/" in label or "\\" in label:
            raise UserError(
                f"label {label!r} cannot be a file name: use no slashes, control characters, '.' "
                "or '..'"
            )


def _describe_rejected(sources: Sources) -> str:
    """Return the end of an error that rejected files may explain."""
    if sources.rejected.empty:
        return ""
    path, reason = sources.rejected.iloc[0]
    return f"; {len(sources.rejected)} were rejected, the first is {path} ({reason})"


def _require_dir(path: str, parameter: str) -> Location:
    root = locate(path)
    if not root.is_dir():
        raise UserError(f"`{parameter}={root}` does not exist or is not a folder")
    return root


def _audio_files(entries: list[Entry], root: Location) -> Sources:
    """Return audio files with `clip_id`, `path`, and the size and time that reveal a change."""
    files = [
        entry
        for entry in entries
        if not entry.problem and not entry.is_dir and is_audio(entry.path)
    ]
    clips = pd.DataFrame(
        {
            "clip_id": pd.Series([file.path for file in files], dtype=str),
            "path": pd.Series([str(root / file.path) for file in files], dtype=str),
            "start_s": 0.0,
            "end_s": float("nan"),
            "num_bytes": pd.Series([file.num_bytes for file in files], dtype="int64"),
            "modified_ns": pd.Series([file.modified_ns for file in files], dtype="int64"),
        }
    ).sort_values("clip_id", ignore_index=True)
    rejected = [(str(root / entry.path), entry.problem) for entry in entries if entry.problem]
    return Sources(clips=clips.assign(**dict.fromkeys(_DESCRIPTION)), rejected=_as_table(rejected))


def _as_table(rows: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "reason"])


def _find_by_folder(root: Location) -> Sources:
    """Return every clip, labeled with the name of its folder."""
    entries = list(root.walk())
    sources = _audio_files(entries, root)
    clip_ids = sources.clips["clip_id"]
    loose = clip_ids[~clip_ids.str.contains("/")]
    if len(loose):
        raise UserError(
            f"{root} holds {loose.iloc[0]} directly: put each clip into a folder named for its "
            f"class, {root}/<class>/, or list the clips in a CSV (`metadata`)"
        )
    _require_filled(entries, root)
    if clip_ids.empty:
        raise UserError(
            f"{root} has no class folders: put clips into {root}/<class>/"
            f"{_describe_rejected(sources)}"
        )
    labels = clip_ids.str.rsplit("/", n=2).str[-2]
    return Sources(clips=sources.clips.assign(label=labels), rejected=sources.rejected)


def _require_filled(entries: list[Entry], root: Location) -> None:
    """Refuse folders without clips."""
    folders = {entry.path for entry in entries if entry.is_dir}
    filled = {
        entry.path.rpartition("/")[0] for entry in entries if entry.is_dir or is_audio(entry.path)
    }
    folders -= {entry.path for entry in entries if entry.problem}
    if empty := sorted(folders - filled):
        raise UserError(
            f"class folder {root / empty[0]} has no audio: add clips ({' '.join(AUDIO_SUFFIXES)}) "
            "or remove it"
        )


def _add_metadata(sources: Sources, table: pd.DataFrame, metadata: str) -> Sources:
    """Add the columns of an UrbanSound8K-style CSV to the clips, by file name."""
    clips = sources.clips
    names = stems(clips["clip_id"])
    by_name = table.dropna(subset="file").set_index(stems(table["file"].dropna()))
    shared = clips["clip_id"][names.isin(by_name.index) & names.duplicated(keep=False)]
    if len(shared):
        raise UserError(
            f"`metadata={metadata}` names {names[shared.index[0]]}, which is the name of "
            f"{' and '.join(shared.iloc[:2])}: list the clips by path instead (columns path, label)"
        )
    if not names.isin(by_name.index).any():
        raise UserError(
            f"`metadata={metadata}` names none of the {len(clips)} clips in its column "
            f"slice_file_name: it begins with {table['file'].iloc[0]}, the clips with "
            f"{clips['clip_id'].iloc[0]}; give the CSV of these clips"
        )
    columns = {name: names.map(by_name[name]) for name in _DESCRIPTION}
    columns["label"] = columns["label"].fillna(clips["label"])
    return Sources(clips=clips.assign(**columns), rejected=sources.rejected)


def _find_listed(root: Location, table: pd.DataFrame, metadata: str) -> Sources:
    """Return the clips that a CSV lists by path, and reject lines that name no clip."""
    in_folder = _audio_files(list(root.walk()), root)
    problems = dict(zip(in_folder.rejected["path"], in_folder.rejected["reason"], strict=True))
    clip_ids = set(in_folder.clips["clip_id"])

    def problem_of(file: str, label: str, split: str) -> str:
        if pd.isna(file) or not is_inside(file):
            return "not a path below the audio folder"
        if file not in clip_ids:
            return str(problems.get(str(root / file), f"no audio file of this name below {root}"))
        return "no label" if pd.isna(label) and split != "test" else ""

    rows = zip(table["file"], table["label"], table["split"], strict=True)
    reasons = pd.Series([problem_of(*row) for row in rows], index=table.index, dtype=str)
    rejected = [
        ("" if pd.isna(file) else str(file), f"{metadata} line {line}: {reason}")
        for line, file, reason in zip(table.index, table["file"], reasons, strict=True)
        if reason
    ]
    files = in_folder.clips.drop(columns=list(_DESCRIPTION))
    clips = table[reasons == ""].rename(columns={"file": "clip_id"}).merge(files, on="clip_id")
    return Sources(
        clips=clips.sort_values("clip_id", ignore_index=True), rejected=_as_table(rejected)
    )
