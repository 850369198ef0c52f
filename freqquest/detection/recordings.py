"""The recordings of a folder: their files, their lengths, and which of them cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from freqquest.cnn.predict import list_requested_clips
from freqquest.dataset.quarantine import are_too_many
from freqquest.dataset.survey import measure_files
from freqquest.dataset.windows import WindowConfig
from freqquest.detection.parts import recording_key
from freqquest.errors import UserError
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A file of the folder."""

    name: str
    """Path relative to the folder."""
    path: str
    key: str
    """Key of its parts."""
    reason: str
    """Reason why it cannot be read; empty if it can."""
    duration_s: float = 0.0


def list_recordings(audio_dir: str) -> list[Recording]:
    """List the audio files below a folder, by name, or a single file.

    Raises:
        UserError: There is no such file or folder, or it has no audio.
    """
    place = locate(audio_dir)
    if place.is_file():
        entry, path = place.entry(), str(place)
        key = recording_key(path, entry.num_bytes, entry.modified_ns)
        return [Recording(name=place.name, path=path, key=key, reason="")]
    files = list_requested_clips(audio_dir, None)
    columns = ("ID", "path", "num_bytes", "modified_ns", "reason")
    return [
        Recording(
            name=name,
            path=path,
            key=recording_key(path, num_bytes, modified_ns),
            reason=reason,
        )
        for name, path, num_bytes, modified_ns, reason in zip(
            *(files[column] for column in columns), strict=True
        )
    ]


def measure(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the recordings with their lengths, and the reasons of those that cannot be read.

    Needs an initialized Ray.

    Raises:
        OSError: The storage fails.
    """
    paths = [recording.path for recording in recordings if not recording.reason]
    measured = measure_files(np.array(paths, object), WindowConfig())
    lengths = {path: (duration_s, reason) for path, (duration_s, _, reason) in measured.items()}
    return [
        recording
        if recording.reason
        else replace(
            recording, duration_s=lengths[recording.path][0], reason=lengths[recording.path][1]
        )
        for recording in recordings
    ]


def refuse_unreadable(recordings: Sequence[Recording], file: Location, max_fraction: float) -> None:
    """List the unreadable recordings in a CSV file, if there are any; refuse too many.

    Raises:
        UserError: The fraction of unreadable recordings is above the limit. One is always allowed,
            unless the limit is 0.
    """
    unreadable = [(each.path, each.reason) for each in recordings if each.reason]
    if not unreadable:
        file.remove_file()
        return
    write_csv(pd.DataFrame(unreadable, columns=["path", "reason"]), file)
    if are_too_many(len(unreadable), len(recordings), max_fraction):
        path, reason = unreadable[0]
        raise UserError(
            f"{len(unreadable)} of {len(recordings)} recordings cannot be read, more than "
            f"`max_quarantined_fraction={max_fraction}` allows; the first is {path} ({reason}), "
            f"all are listed in {file}; fix or remove them, or raise the fraction"
        )
