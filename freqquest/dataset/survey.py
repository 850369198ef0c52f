"""Lengths and levels of the files, measured on the cluster's cores, and the windows that follow.

Only for windows other than the first, and for annotated sounds: other clips need neither.
"""

from functools import partial

import numpy as np
import pandas as pd

from freqquest.audio.decode import UnreadableClipError
from freqquest.cluster import connection
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.load_clip import measure_file
from freqquest.dataset.tree import file_ids, part_ids
from freqquest.dataset.windows import WindowConfig, choose_windows, window_starts
from freqquest.progress import Progress
from freqquest.storage import reason

_BATCH = 16
"""Files that a task measures."""

_SHORTEST_S = 0.001
"""Shortest annotated sound."""

_TOLERANCE_S = 0.1
"""Largest time by which an annotation may end after its file."""


def find_windows(
    clips: pd.DataFrame, config: PreprocessConfig, background_label: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replace each row of a table of clips by its windows.

    Those of the background are windows of the whole sound whatever the settings, because it often
    has a few long files. Needs an initialized Ray, unless every clip is the first window of a file.

    Args:
        clips: Table of clips (`freqquest.dataset.sources`).
        config: Its clip and window settings are used.
        background_label: Class that is the background, if there is one.

    Returns:
        The table of windows, with the columns of `clips`, and a table of `path` and `reason` for
        rows whose file cannot be measured or ends before their sound.
    """
    are_parts = clips["end_s"].notna().to_numpy()
    are_background = np.zeros(len(clips), bool)
    if background_label is not None:
        are_background = (clips["label"] == background_label).fillna(False).to_numpy(bool)
    needs_all = config.windows != "first" or are_parts.any()
    are_measured = are_background | needs_all
    if not are_measured.any():
        return clips, pd.DataFrame(columns=["path", "reason"])
    windows, length_s = config.window_config, config.duration
    of_background = _background_windows(config)
    measured = measure_files(clips["path"][are_measured].unique(), windows)
    numbers = np.flatnonzero(are_measured)
    rows, starts, rejected = [], [], []
    columns = (clips[name].iloc[numbers] for name in ("path", "start_s", "end_s", "source"))
    for row, path, begin_s, end_s, source in zip(numbers, *columns, strict=True):
        duration_s, file_levels, defect = measured[path]
        defect = defect or _problem(begin_s, end_s, duration_s)
        if defect:
            rejected.append((path, f"{source}: {defect}" if are_parts[row] else defect))
            continue
        end_s = min(duration_s, end_s) if end_s == end_s else duration_s
        chosen = of_background if are_background[row] else windows
        found = window_starts(chosen, length_s, begin_s, end_s, file_levels)
        rows += [row] * len(found)
        starts += found
    table = clips.assign(clip_id=file_ids(clips)).iloc[rows].assign(start_s=starts)
    table["clip_id"] = part_ids(table["clip_id"], table["start_s"])
    if not needs_all:  # the others are the first window of their files
        table = pd.concat([clips[~are_measured], table]).sort_index(kind="stable")
    # One number a row: joins by the index would repeat the windows of a file.
    table = table.drop_duplicates("clip_id").reset_index(drop=True)
    return table, pd.DataFrame(rejected, columns=["path", "reason"])


def _background_windows(config: PreprocessConfig) -> WindowConfig:
    """Return the windows of the background; a step for another kind of windows is not for it."""
    hop_s = config.window_hop if config.windows == "all" else None
    return choose_windows("all", config.duration, hop_s, config.max_windows_per_file)


def _problem(begin_s: float, end_s: float, duration_s: float) -> str:
    """Return why an annotated sound is not in its file, or an empty text."""
    if min(end_s, duration_s) - begin_s < _SHORTEST_S and end_s <= duration_s:
        return f"annotated from {begin_s:g} to {end_s:g} s, which is less than a millisecond"
    if begin_s + _SHORTEST_S <= duration_s and not end_s > duration_s + _TOLERANCE_S:
        return ""
    return f"annotated from {begin_s:g} to {end_s:g} s, but the file ends at {duration_s:.2f} s"


def measure_files(
    paths: np.ndarray, windows: WindowConfig
) -> dict[str, tuple[float, np.ndarray, str]]:
    """Return each file's length, the levels that windows need, and why it cannot be measured.

    Needs an initialized Ray.

    Raises:
        OSError: The storage fails.
    """
    import ray.data

    connection.configure("data")
    blocks = [
        pd.DataFrame({"path": paths[start : start + _BATCH]})
        for start in range(0, len(paths), _BATCH)
    ]
    files = ray.data.from_pandas(blocks).map_batches(
        partial(_measure_files, windows=windows), batch_size=None
    )
    measured = {}
    with Progress("measure lengths", len(paths), "files") as progress:
        for batch in files.iter_batches(batch_size=None):
            if batch["problem"][0]:
                raise OSError(batch["problem"][0])
            columns = (batch[name] for name in ("path", "duration_s", "levels", "reason"))
            for path, duration_s, file_levels, defect in zip(*columns, strict=True):
                measured[path] = (float(duration_s), file_levels, defect)
            progress.update(len(batch["path"]))
    return measured


def _measure_files(batch: dict[str, np.ndarray], windows: WindowConfig) -> dict[str, np.ndarray]:
    """Add `duration_s`, `levels` and `reason` to a batch of paths.

    A failure of the storage is returned as `problem`, as Ray would wrap an exception into a page of
    text.
    """
    durations = np.zeros(len(batch["path"]))
    levels, reasons = np.empty(len(durations), object), np.full(len(durations), "", object)
    problem = ""
    for row, path in enumerate(batch["path"]):
        levels[row] = np.zeros(0)
        try:
            durations[row], levels[row] = measure_file(path, windows)
        except UnreadableClipError as error:
            reasons[row] = str(error)
        except OSError as error:
            problem = f"{path} cannot be read: {reason(error)}"
    problems = np.full(len(durations), problem, object)
    measured = {"duration_s": durations, "levels": levels, "reason": reasons, "problem": problems}
    return batch | measured
