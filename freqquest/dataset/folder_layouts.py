"""Layouts in which folders label the clips: classes, with folders of splits, folds or speakers.

pandas only. Each function returns None if the folder has another layout.
"""

import pandas as pd

from freqquest.dataset.file_names import folders, names, top_folders, without_ending
from freqquest.dataset.labels import have_several
from freqquest.dataset.manifest import LABEL_SEPARATOR
from freqquest.dataset.metadata import SPLIT_NAMES
from freqquest.dataset.recordings import NAME_PATTERNS
from freqquest.dataset.text_tables import read_text
from freqquest.dataset.tree import Sources, Tree, describe_rejected, require_filled
from freqquest.errors import UserError

URBANSOUND_CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
"""Classes of UrbanSound8K by their number."""

_FOLD = r"(?i)^fold[ _-]?(\d+)$"

_GROUP = (
    r"(?i)^(?:(?:batch|day|device|fold|group|location|mic|part|recorder|round|session|set|site"
    r"|station|week)[ _-]?)?[0-9]+(?:[ _-][0-9]+)*\Z"
)
"""Names of folders that group recordings: a number, a date, or `site1`."""

_SPEECH_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_ROLES = {name: split for name, split in SPLIT_NAMES.items() if not name.startswith("eval")}


def read_speech_commands(tree: Tree) -> Sources | None:
    """Return the clips of Speech Commands, with the splits of its lists."""
    lists = {name: split for name, split in _SPEECH_LISTS.items() if name in tree.others}
    if not lists:
        return None
    _require_class_folders(tree)
    clip_ids = tree.clips["clip_id"]
    splits = pd.Series(
        "train" if "validation" in lists.values() else pd.NA, clip_ids.index, dtype=str
    )
    num_missing = 0
    for name, split in lists.items():
        text, _ = read_text(tree.root / name, str(tree.root / name))
        lines = pd.Series(text.split("\n"), dtype=str).str.strip()
        is_listed = clip_ids.isin(lines)
        splits = splits.mask(is_listed, split)
        num_missing += int((lines != "").sum() - is_listed.sum())
    notes = [f"layout: Speech Commands ({', '.join(lists)})"]
    if num_missing:
        notes.append(f"files of these lists that are not there: {num_missing:,}")
    speakers = without_ending(names(clip_ids)).str.extract(NAME_PATTERNS["Speech Commands"])[0]
    labels = names(folders(clip_ids))
    _require_single(labels)
    clips = tree.clips.assign(label=labels, split=splits, recording=speakers.astype(str))
    return Sources(
        clips=clips,
        rejected=tree.rejected,
        notes=notes,
        recordings_from="the speakers in the file names",
    )


def have_split_classes(tree: Tree) -> bool:
    """Return whether the folder train and another split's have class folders of the same names."""
    clip_ids = tree.clips["clip_id"]
    splits = top_folders(clip_ids).str.lower().map(_ROLES)
    classes = top_folders(clip_ids.str.replace(r"^[^/]*/?", "", regex=True))
    is_train = splits == "train"
    is_labeled = (classes != "") | (splits == "test")
    shared = set(classes[is_train]) & set(classes[~is_train]) - {""}
    return bool(splits.notna().all() and is_labeled.all() and shared)


def read_split_folders(tree: Tree) -> Sources | None:
    """Return the clips of the folders train, val and test, which hold class folders."""
    clip_ids = tree.clips["clip_id"]
    tops = top_folders(clip_ids)
    splits = tops.str.lower().map(_ROLES).astype(str)
    used = set(splits.dropna())
    if splits.isna().any() or "train" not in used or len(used) < 2:
        return None
    inner = clip_ids.str.replace(r"^[^/]*/", "", regex=True)
    is_loose = ~inner.str.contains("/", regex=False)
    loose = clip_ids[is_loose & (splits != "test")]
    if len(loose):
        raise UserError(
            f"{tree.root} has the folders {', '.join(sorted(tops.unique()))}, and "
            f"{loose.iloc[0]} is in no class folder: put each clip into <class>/ inside of them, "
            "or list the clips in a CSV (`metadata`)"
        )
    require_filled(tree)
    labels, recordings, inner_layout = _label_by_folder(inner[~is_loose])
    clips = tree.clips.assign(
        label=labels.reindex(clip_ids.index),
        recording=recordings.reindex(clip_ids.index),
        split=splits.where((splits == "test") | ("validation" in used)),
    )
    roles = ", ".join(sorted(tops.unique()))
    return Sources(
        clips=clips,
        rejected=tree.rejected,
        notes=[f"layout: {inner_layout} in the folders {roles}, whose splits are kept"],
        recordings_from="the folders in the class folders",
    )


def read_fold_folders(tree: Tree) -> Sources | None:
    """Return the clips of the folders fold1, fold2 and so on, which are no classes."""
    clip_ids = tree.clips["clip_id"]
    parents = folders(clip_ids)
    is_fold = names(parents).str.match(_FOLD)
    if clip_ids.empty or not is_fold.all():
        return None
    stems = without_ending(names(clip_ids))
    numbers = stems.str.extract(r"^\d+-(\d)-\d+-\d+$")[0]
    if numbers.isna().any():
        raise UserError(
            f"{tree.root} has the folders {', '.join(names(parents).unique()[:3])}, which are no "
            "classes: give the CSV with the labels (`metadata`), or put each clip into a folder "
            "named for its class"
        )
    return Sources(
        clips=tree.clips.assign(
            label=numbers.astype(int).map(dict(enumerate(URBANSOUND_CLASSES))).astype(str),
            fold=names(parents).str.extract(_FOLD)[0].astype("Int64"),
        ),
        rejected=tree.rejected,
        notes=[
            "layout: UrbanSound8K without its CSV: labels from the class numbers in the names, "
            "folds from the folders"
        ],
    )


def read_class_folders(tree: Tree) -> Sources:
    """Return the clips of class folders, nested at any depth; speakers may be inside."""
    _require_class_folders(tree)
    labels, recordings, layout = _label_by_folder(tree.clips["clip_id"])
    return Sources(
        clips=tree.clips.assign(label=labels, recording=recordings),
        rejected=tree.rejected,
        notes=[f"layout: {layout}"],
        recordings_from="the folders in the class folders",
    )


def _label_by_folder(clip_ids: pd.Series) -> tuple[pd.Series, pd.Series, str]:
    """Return labels and recordings by folders, and the layout's name.

    The label is the last folder. With two levels of folders of which the inner ones repeat across
    the outer ones, the level with fewer names is the label: if it is the outer one, the inner one
    (the speaker) is the recording. Numbered groups of recordings are not labels.

    Raises:
        UserError: A label looks like several labels.
    """
    parents = folders(clip_ids)
    outer, inner = folders(parents), names(parents)
    labels, recordings = inner, pd.Series(pd.NA, clip_ids.index, dtype=str)
    layout, otherwise = "class folders", " (if not, list the clips in `metadata`)"
    if _repeat(outer, inner):
        outer_are_groups, inner_are_groups = (
            bool(level.str.match(_GROUP).all()) for level in (outer, inner)
        )
        is_unclear = outer_are_groups == inner_are_groups
        if inner.nunique() > outer.nunique() if is_unclear else inner_are_groups:
            labels, recordings = outer, inner
            layout += " with a folder for each speaker or recording" + otherwise
        elif is_unclear:
            layout += " by the last folder" + otherwise
    _require_single(labels)
    return labels, recordings, layout


def _repeat(outer: pd.Series, inner: pd.Series) -> bool:
    """Return whether there are two levels of folders, and inner ones repeat across outer ones."""
    pairs = pd.DataFrame({"outer": outer, "inner": inner}).drop_duplicates()
    has_two_levels = (pairs["outer"] != "").all() and not pairs["outer"].str.contains("/").any()
    return bool(
        has_two_levels and pairs["outer"].nunique() > 1 and pairs["inner"].duplicated().any()
    )


def _require_single(labels: pd.Series) -> None:
    """Refuse names of class folders that would be several labels."""
    if (wrong := have_several(labels)).any():
        raise UserError(
            f"class folder {labels[wrong].iloc[0]!r} must not contain {LABEL_SEPARATOR!r}, which "
            "separates several labels: rename the folder, or list the clips in a CSV (`metadata`)"
        )


def _require_class_folders(tree: Tree) -> None:
    """Refuse clips outside of class folders, and folders without clips."""
    clip_ids = tree.clips["clip_id"]
    loose = clip_ids[~clip_ids.str.contains("/", regex=False)]
    if len(loose):
        raise UserError(
            f"{tree.root} holds {loose.iloc[0]} directly: put each clip into a folder named for "
            f"its class, {tree.root}/<class>/, or list the clips in a CSV (`metadata`)"
        )
    require_filled(tree)
    if clip_ids.empty:
        raise UserError(
            f"{tree.root} has no class folders: put clips into {tree.root}/<class>/"
            f"{describe_rejected(tree.rejected)}"
        )
