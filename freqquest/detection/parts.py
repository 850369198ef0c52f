"""Parts of an unfinished scan: what was heard in pieces of recordings, beside the output.

NumPy only.
"""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields

import numpy as np

from freqquest.detection.listen import Heard
from freqquest.errors import UserError
from freqquest.storage import Location

_SETTINGS_NAME, _OUTPUTS_NAME = "settings.json", "outputs.json"
_PART_NAME = re.compile(r"(?P<key>[0-9a-f]+)-(?P<first>\d+)-(?P<stop>\d+)\.npz")


def open_parts(output: Location, settings: Mapping[str, object]) -> Location:
    """Return the folder of an output's parts; parts of other settings are removed."""
    folder = output.parent / f"{output.name}.parts"
    text = json.dumps(settings, sort_keys=True)
    file = folder / _SETTINGS_NAME
    if not file.is_file() or file.read_bytes() != text.encode():
        if folder.is_dir():
            print(f"{folder} was made with other settings: listening begins anew", file=sys.stderr)
            folder.remove_dir()
        file.write_text(text)
    folder.remove_staged()
    return folder


def mark_outputs(folder: Location, paths: Sequence[str]) -> None:
    """Note the files and folders that the job writes."""
    (folder / _OUTPUTS_NAME).write_text(json.dumps(sorted(paths)))


def marked_outputs(output: Location) -> list[str]:
    """Return what an unfinished job with this output may have written."""
    file = output.parent / f"{output.name}.parts" / _OUTPUTS_NAME
    content = file.read_bytes() if file.is_file() else b"[]"
    try:
        return [str(path) for path in json.loads(content)]
    except Exception:  # a damaged file may raise any
        return []


def recording_key(path: str, num_bytes: int, modified_ns: int) -> str:
    """Return the beginning of the names of a recording's parts; it changes with the file."""
    content = f"{path}\n{num_bytes}\n{modified_ns}"
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def write_part(folder: Location, key: str, units: range, heard: Sequence[Heard]) -> None:
    """Write consecutive units of a recording."""
    buffer = io.BytesIO()
    np.savez(buffer, **asdict(join(heard)))
    _part_file(folder, key, units).write_bytes(buffer.getvalue())


def has_part(folder: Location, key: str, units: range) -> bool:
    """Return whether these units of a recording are written."""
    return _part_file(folder, key, units).is_file()


def _part_file(folder: Location, key: str, units: range) -> Location:
    return folder / f"{key}-{units.start}-{units.stop}.npz"


def remove_overlaps(folder: Location) -> None:
    """Remove parts of which an earlier one has some units: workers of a stopped job wrote them."""
    for parts in list_parts(folder).values():
        covered = 0
        for units, file in parts:
            if units.start < covered:
                file.remove_file()
            else:
                covered = units.stop


def list_parts(folder: Location) -> dict[str, list[tuple[range, Location]]]:
    """Return the parts of each recording, by key, in the order of their units."""
    parts: dict[str, list[tuple[range, Location]]] = {}
    for file in folder.list_dir():
        if found := _PART_NAME.fullmatch(file.name):
            units = range(int(found["first"]), int(found["stop"]))
            parts.setdefault(found["key"], []).append((units, file))
    for of_recording in parts.values():
        of_recording.sort(key=lambda part: part[0].start)
    return parts


def missing_units(present: Sequence[range], count: int) -> Iterator[range]:
    """Yield the runs of a recording's units that are in no part, given those that are, in order."""
    first = 0
    for units in [*present, range(count, count)]:
        if units.start > first:
            yield range(first, units.start)
        first = max(first, units.stop)


def read_part(file: Location) -> Heard:
    """Read a part.

    Raises:
        UserError: The file is corrupt.
    """
    content = io.BytesIO(file.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as arrays:
            # Joined alone, so that what is no array of such a shape is noticed.
            return join([Heard(**{field.name: arrays[field.name] for field in fields(Heard)})])
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"{file} is not a readable part of a scan ({error}): remove it, and run the same "
            "command again"
        ) from error


def join(units: Sequence[Heard]) -> Heard:
    """Join consecutive units; a column of the picture that two share gets its louder half."""
    return Heard(
        probabilities=np.concatenate([unit.probabilities for unit in units]),
        levels=np.concatenate([unit.levels for unit in units]),
        changes=np.concatenate([unit.changes for unit in units]),
        first_column=units[0].first_column,
        columns=_join_columns(units),
    )


def _join_columns(units: Sequence[Heard]) -> np.ndarray:
    last = units[-1]
    count = last.first_column + last.columns.shape[1] - units[0].first_column
    joined = np.full((last.columns.shape[0], count), -np.inf, np.float16)
    for unit in units:
        first = unit.first_column - units[0].first_column
        some = joined[:, first : first + unit.columns.shape[1]]
        np.maximum(some, unit.columns, out=some)
    return joined
