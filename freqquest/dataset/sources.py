"""Which clips there are, their labels, and which recording each was cut from.

pandas only. A table of clips has the columns CLIP_COLUMNS, one row a clip, sorted by clip_id.
"""

import re
from dataclasses import dataclass

import pandas as pd

from freqquest.audio.decode import AUDIO_SUFFIXES, is_audio
from freqquest.dataset.metadata import is_inside, read_metadata, stems
from freqquest.errors import UserError
from freqquest.storage import Entry, Location, locate

CLIP_COLUMNS = [
    "clip_id",
    "path",
    "label",
    "recording",
    "fold",
    "split",
    "num_bytes",
    "modified_ns",
]
"""`clip_id` is the path below the audio folder. A clip of which no recording is known stands as its own: `recording`
equals `clip_id` there. `label`, `fold` and `split` are missing where nothing gives them."""

_DESCRIPTION = ("label", "recording", "fold", "split")
"""What a CSV can tell of a clip."""

_GENERATED_NAME = re.compile(r"(.+)_\d+_\d+\.\w+")
"""`<label>_<seed>_<index>.wav`, as jobs/generate.py names its clips; the label may hold underscores too."""

URBANSOUND_NAME = r"^(\d+)-\d+-\d+-\d+$"
"""`<fsID>-<classID>-<occurrence>-<slice>`: the first number names the recording."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What was found."""

    clips: pd.DataFrame
    """Table of clips."""
    refused: pd.DataFrame
    """`path` and `reason` of what must not be read: links out of the folder, lines of a CSV without a file."""


def find_labeled(
    audio_dir: str, metadata: str | None = None, recording_pattern: str | None = None
) -> Sources:
    """The clips below a folder. A clip's label is the metadata's, else the name of the folder that it lies in.

    A clip's recording comes from the metadata, else from the pattern, else from an UrbanSound8K-style name, else it
    is the clip itself.

    Raises:
        UserError: The folder is missing, has no class folders, or a class folder has no audio; the metadata cannot
            be used or names none of the clips; there is one class only.
    """
    root = _require_dir(audio_dir, "--audio-dir")
    table, lists_clips = read_metadata(metadata) if metadata is not None else (None, False)
    if table is not None and lists_clips:
        sources = _listed(root, table, str(metadata))
    else:
        sources = _by_folder(root)
        if table is not None:
            sources = _described(sources, table, str(metadata))
    clips = sources.clips
    _require_classes(sources, root)
    names = clips["clip_id"].str.rsplit("/", n=1).str[-1]
    recordings = clips["recording"]
    if recording_pattern is not None:
        recordings = recordings.fillna(names.str.extract(recording_pattern)[0])
    recordings = recordings.fillna(stems(names).str.extract(URBANSOUND_NAME)[0])
    clips = clips.assign(recording=recordings.fillna(clips["clip_id"]))
    return Sources(clips=clips[CLIP_COLUMNS], refused=sources.refused)


def find_unlabeled(audio_dir: str) -> Sources:
    """The audio files below a folder, without labels; each counts as its own recording.

    Raises:
        UserError: The folder is missing or holds no audio.
    """
    root = _require_dir(audio_dir, "the folder of test clips")
    sources = _audio_files(list(root.walk()), root)
    if sources.clips.empty:
        raise UserError(
            f"{root} holds no audio files ({' '.join(AUDIO_SUFFIXES)}){_first_refused(sources)}"
        )
    clips = sources.clips.assign(
        label=None, recording=sources.clips["clip_id"], fold=None, split="test"
    )
    return Sources(clips=clips[CLIP_COLUMNS], refused=sources.refused)


def find_extra(extra_dir: str | None, classes: list[str]) -> pd.DataFrame:
    """Clips to train on beside a dataset's: a table of clips, each its own recording.

    A clip's label is the name of the folder that it lies in; directly in `extra_dir`, what comes before its name's
    last two numbers (`<label>_<seed>_<index>.wav`).

    Args:
        extra_dir: Folder of clips; None holds none.
        classes: Of the dataset.

    Raises:
        UserError: The folder is missing, it or a folder in it has no audio, something in it cannot be read, or a clip's
            label is none of the classes.
    """
    if extra_dir is None:
        return pd.DataFrame(columns=CLIP_COLUMNS)
    root = _require_dir(extra_dir, "--extra-clips")
    entries = list(root.walk())
    sources = _audio_files(entries, root)
    if not sources.refused.empty:
        path, reason = sources.refused.iloc[0]
        raise UserError(f"--extra-clips: {path} cannot be read ({reason}): mend or remove it")
    _require_filled(entries, root)
    clips = sources.clips
    if clips.empty:
        raise UserError(f"--extra-clips {root} holds no audio files ({' '.join(AUDIO_SUFFIXES)})")
    labels = [_told_label(clip_id) for clip_id in clips["clip_id"]]
    for path, label in zip(clips["path"], labels, strict=True):
        if label not in classes:
            problem = (
                f"has the label {label!r}, which the dataset has not" if label else "tells no label"
            )
            raise UserError(
                f"--extra-clips: {path} {problem}; put clips of {', '.join(classes)} into folders of these names, "
                "or name them <label>_<seed>_<index>.wav"
            )
    return clips.assign(label=labels, recording=clips["clip_id"])[CLIP_COLUMNS]


def _told_label(clip_id: str) -> str:
    """An extra clip's label by its folder, else by its name; empty where neither tells it."""
    *folders, name = clip_id.split("/")
    if folders:
        return folders[-1]
    generated = _GENERATED_NAME.fullmatch(name)
    return generated[1] if generated else ""


def _require_classes(sources: Sources, root: Location) -> None:
    """Two classes at least to learn, and no label that could not name a file."""
    clips = sources.clips
    learned = set(clips["label"][(clips["split"] != "test").fillna(True)].dropna())
    if len(learned) < 2:
        found = f"one class only ({learned.pop()})" if learned else "no labeled clip"
        raise UserError(
            f"{root} has {found}: a classifier needs at least two classes{_first_refused(sources)}"
        )
    unknown = set(clips["label"].dropna()) - learned
    if unknown:
        raise UserError(
            f"the class {min(unknown)} has test clips only: add clips to learn it from, or empty its labels"
        )
    for label in learned:
        if not is_inside(label) or "/" in label or "\\" in label:
            raise UserError(
                f"the label {label!r} cannot name a file: use no slashes, control characters, '.' or '..'"
            )


def _first_refused(sources: Sources) -> str:
    """For an error that refusals may explain."""
    if sources.refused.empty:
        return ""
    path, reason = sources.refused.iloc[0]
    return f"; {len(sources.refused)} were refused, the first is {path} ({reason})"


def _require_dir(path: str, what: str) -> Location:
    root = locate(path)
    if not root.is_dir():
        raise UserError(f"{what} {root} does not exist or is not a folder")
    return root


def _audio_files(entries: list[Entry], root: Location) -> Sources:
    """Audio files with `clip_id`, `path`, and what tells that a file has changed."""
    files = [
        entry
        for entry in entries
        if not entry.problem and not entry.is_dir and is_audio(entry.path)
    ]
    clips = pd.DataFrame(
        {
            "clip_id": pd.Series([file.path for file in files], dtype=str),
            "path": pd.Series([str(root / file.path) for file in files], dtype=str),
            "num_bytes": pd.Series([file.num_bytes for file in files], dtype="int64"),
            "modified_ns": pd.Series([file.modified_ns for file in files], dtype="int64"),
        }
    ).sort_values("clip_id", ignore_index=True)
    refused = [(str(root / entry.path), entry.problem) for entry in entries if entry.problem]
    return Sources(clips=clips.assign(**dict.fromkeys(_DESCRIPTION)), refused=_refused(refused))


def _refused(rows: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "reason"])


def _by_folder(root: Location) -> Sources:
    """Every clip, labeled with the name of the folder that it lies in."""
    entries = list(root.walk())
    sources = _audio_files(entries, root)
    clip_ids = sources.clips["clip_id"]
    loose = clip_ids[~clip_ids.str.contains("/")]
    if len(loose):
        raise UserError(
            f"{root} holds {loose.iloc[0]} directly: put each clip into a folder named for its class, "
            f"as {root}/<class>/, or list the clips in a CSV (--metadata)"
        )
    _require_filled(entries, root)
    if clip_ids.empty:
        raise UserError(
            f"{root} has no class folders: expected <audio-dir>/<class>/<clip>.wav{_first_refused(sources)}"
        )
    labels = clip_ids.str.rsplit("/", n=2).str[-2]
    return Sources(clips=sources.clips.assign(label=labels), refused=sources.refused)


def _require_filled(entries: list[Entry], root: Location) -> None:
    """No folder without clips."""
    folders = {entry.path for entry in entries if entry.is_dir}
    filled = {
        entry.path.rpartition("/")[0] for entry in entries if entry.is_dir or is_audio(entry.path)
    }
    folders -= {entry.path for entry in entries if entry.problem}
    if empty := sorted(folders - filled):
        raise UserError(
            f"class folder {root / empty[0]} has no audio: add clips ({' '.join(AUDIO_SUFFIXES)}) or remove it"
        )


def _described(sources: Sources, table: pd.DataFrame, metadata: str) -> Sources:
    """Clips with what an UrbanSound8K-style CSV tells of them, by file name."""
    clips = sources.clips
    names = stems(clips["clip_id"])
    told = table.dropna(subset="file").set_index(stems(table["file"].dropna()))
    shared = clips["clip_id"][names.isin(told.index) & names.duplicated(keep=False)]
    if len(shared):
        raise UserError(
            f"--metadata {metadata} tells of {names[shared.index[0]]}, but {' and '.join(shared.iloc[:2])} have that "
            "name: list the clips by path instead (columns path, label)"
        )
    if not names.isin(told.index).any():
        raise UserError(
            f"--metadata {metadata} names none of the {len(clips)} clips in its slice_file_name column"
        )
    columns = {name: names.map(told[name]) for name in _DESCRIPTION}
    columns["label"] = columns["label"].fillna(clips["label"])
    return Sources(clips=clips.assign(**columns), refused=sources.refused)


def _listed(root: Location, table: pd.DataFrame, metadata: str) -> Sources:
    """The clips that a CSV with the columns path and label lists; lines that name no clip are refused."""
    found = _audio_files(list(root.walk()), root)
    problems = dict(zip(found.refused["path"], found.refused["reason"], strict=True))
    known = set(found.clips["clip_id"])

    def problem(file: str, label: str, split: str) -> str:
        if pd.isna(file) or not is_inside(file):
            return "not a path below the audio folder"
        if file not in known:
            return problems.get(str(root / file), f"no audio file of this name below {root}")
        return "no label" if pd.isna(label) and split != "test" else ""

    reasons = pd.Series(
        [problem(*row) for row in zip(table["file"], table["label"], table["split"], strict=True)],
        index=table.index,
        dtype=str,
    )
    refused = [
        ("" if pd.isna(file) else str(file), f"{metadata} line {line}: {reason}")
        for line, file, reason in zip(table.index, table["file"], reasons, strict=True)
        if reason
    ]
    files = found.clips.drop(columns=list(_DESCRIPTION))
    clips = table[reasons == ""].rename(columns={"file": "clip_id"}).merge(files, on="clip_id")
    return Sources(clips=clips.sort_values("clip_id", ignore_index=True), refused=_refused(refused))
