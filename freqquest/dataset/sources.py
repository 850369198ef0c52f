"""Which clips there are, their labels, and which recording each was cut from.

pandas only. A table of clips has the columns CLIP_COLUMNS, one row a clip, sorted by clip_id.
"""

import io
import re

import pandas as pd

from freqquest.audio.files import AUDIO_SUFFIXES, is_audio
from freqquest.errors import UserError
from freqquest.runs.storage import Location, locate

CLIP_COLUMNS = ["clip_id", "path", "label", "recording", "fold"]
"""A clip of which no recording is known stands as its own: `recording` equals `clip_id` there."""

URBANSOUND_NAME = re.compile(r"^(\d+)-\d+-\d+-\d+$")
"""`<fsID>-<classID>-<occurrence>-<slice>`: the first number names the recording."""

METADATA_COLUMNS = ["slice_file_name", "fsID"]


def find_labelled(audio_dir: str, metadata: str | None = None, recording_pattern: str | None = None) -> pd.DataFrame:
    """The clips below a folder; a clip's label is the name of the folder it lies in.

    A clip's recording comes from the metadata, else from an UrbanSound8K-style name, else from the pattern, else it
    is the clip itself.

    Raises:
        UserError: The folder is missing, has no class folders, or a class folder has no audio; the metadata lacks
            a column or names none of the clips.
    """
    root = _require_dir(audio_dir, "--audio-dir")
    rows: list[dict[str, object]] = []
    for folder, subfolders, files in root.walk():
        clips = [name for name in files if is_audio(name)]
        if folder and not clips and not subfolders:
            raise UserError(
                f"class folder {root / folder} has no audio: add clips ({' '.join(AUDIO_SUFFIXES)}) or remove it"
            )
        if clips and not folder:
            raise UserError(
                f"{root} holds {clips[0]} directly: put each clip into a folder named for its class, as {root}/<class>/"
            )
        label = folder.rsplit("/", 1)[-1]
        rows += [{"clip_id": f"{folder}/{name}", "path": str(root / folder / name), "label": label} for name in clips]
    if not rows:
        raise UserError(f"{root} has no class folders: expected <audio-dir>/<class>/<clip>.wav")
    clips_table = pd.DataFrame(rows).sort_values("clip_id", ignore_index=True)
    if clips_table["label"].nunique() < 2:
        raise UserError(
            f"{root} has one class only ({rows[0]['label']}): a classifier needs at least two class folders"
        )
    return _add_recordings(clips_table, metadata, recording_pattern)[CLIP_COLUMNS]


def find_unlabelled(audio_dir: str) -> pd.DataFrame:
    """The audio files below a folder, with empty labels; each counts as its own recording.

    Raises:
        UserError: The folder is missing or holds no audio.
    """
    root = _require_dir(audio_dir, "the folder of test clips")
    names = [
        f"{folder}/{name}" if folder else name for folder, _, files in root.walk() for name in files if is_audio(name)
    ]
    if not names:
        raise UserError(f"{root} holds no audio files ({' '.join(AUDIO_SUFFIXES)})")
    clips = pd.DataFrame({"clip_id": sorted(names)})
    clips["path"] = [str(root / name) for name in clips["clip_id"]]
    return clips.assign(label=None, recording=clips["clip_id"], fold=None)[CLIP_COLUMNS]


def read_csv(path: str, columns: list[str], flag: str) -> pd.DataFrame:
    """A CSV as text cells.

    Raises:
        UserError: It is missing, not a CSV, or lacks one of the columns.
    """
    location = locate(path)
    if not location.is_file():
        raise UserError(f"{flag} {location} does not exist or is not a file")
    try:
        table = pd.read_csv(io.StringIO(location.read_text()), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{flag} {location} is not a readable CSV: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(f"{flag} {location} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def _require_dir(path: str, what: str) -> Location:
    root = locate(path)
    if not root.is_dir():
        raise UserError(f"{what} {root} does not exist or is not a folder")
    return root


def _add_recordings(clips: pd.DataFrame, metadata: str | None, pattern: str | None) -> pd.DataFrame:
    """Fill the columns `recording` and `fold`, by the first source that knows each clip."""
    names = clips["clip_id"].str.rsplit("/", n=1).str[-1]
    stems = names.str.rsplit(".", n=1).str[0]
    recordings = pd.Series(pd.NA, index=clips.index, dtype="object")
    folds = pd.Series(pd.NA, index=clips.index, dtype="Int64")
    if metadata is not None:
        table = _read_metadata(metadata)
        recordings, folds = stems.map(table["fsID"]), stems.map(table["fold"]).astype("Int64")
        if recordings.isna().all():
            raise UserError(f"--metadata {metadata} names none of the {len(clips)} clips in its slice_file_name column")
    recordings = recordings.fillna(stems.str.extract(URBANSOUND_NAME)[0])
    if pattern is not None:
        recordings = recordings.fillna(names.str.extract(pattern)[0])
    return clips.assign(recording=recordings.fillna(clips["clip_id"]), fold=folds)


def _read_metadata(path: str) -> pd.DataFrame:
    """FsID and fold, indexed by the file name without its ending (clips are often converted to another format)."""
    table = read_csv(path, METADATA_COLUMNS, "--metadata")
    if "fold" in table.columns:
        numbers = pd.to_numeric(table["fold"], errors="coerce")
        wrong = table.index[numbers.isna() | (numbers % 1 != 0)]
        if len(wrong):
            raise UserError(
                f"--metadata {path} line {wrong[0] + 2}: fold {table['fold'][wrong[0]]!r} is not a whole number; "
                "give every clip one, or remove the column"
            )
        table["fold"] = numbers.astype("Int64")
    else:
        table["fold"] = pd.array([pd.NA] * len(table), dtype="Int64")
    table["fsID"] = table["fsID"].where(table["fsID"] != "")
    stem = table["slice_file_name"].str.rsplit(".", n=1).str[0]
    repeated = stem[stem.duplicated()]
    if len(repeated):
        line = repeated.index[0] + 2
        raise UserError(f"--metadata {path} line {line} names {repeated.iloc[0]} a second time: keep one row a clip")
    return table.set_index(stem)[["fsID", "fold"]]
