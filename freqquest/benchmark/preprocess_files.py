"""Files that the preprocessing benchmark makes of clips: long ones, short ones, and very many."""

import os
import random
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile

from freqquest.audio.decode import UnreadableClipError
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.views import RECIPE_CLIP
from freqquest.errors import UserError

CLIPS_PER_FILE = 10
"""Clips that are joined to a long file."""

_MAX_CLASSES = 35
_MAX_LINKS = 60_000
"""Hard links to a file, of the 65,000 that ext4 allows."""


def join_clips(clips: list[Path], long_dir: Path, short_dir: Path) -> tuple[list[Path], list[Path]]:
    """Join the clips of each class to long files, and cut the same sound into short ones again.

    All are FLAC files, at least two long ones of each class. They are named as in Speech Commands:
    a long file and its parts are one recording.

    Args:
        clips: Clips in class folders.
        long_dir: Folder for the class folders of the long files, of 40 s.
        short_dir: Folder for those of the short files, of 4 s.

    Returns:
        The long files, shuffled to mix the classes, and the short ones in the same order.

    Raises:
        UserError: A clip is not readable.
    """
    joined = [
        (label, part)
        for label in sorted({clip.parent.name for clip in clips})
        for part in _parts([clip for clip in clips if clip.parent.name == label])
    ]
    random.Random(0).shuffle(joined)
    long_files, short_files = [], []
    for number, (label, part) in enumerate(joined):
        waveforms = [_waveform(clip) for clip in part]
        long_files.append(long_dir / label / f"{number}_nohash_0.flac")
        _write(long_files[-1], np.concatenate(waveforms))
        for piece, waveform in enumerate(waveforms):
            short_files.append(short_dir / label / f"{number}_nohash_{piece}.flac")
            _write(short_files[-1], waveform)
    return long_files, short_files


def _parts(clips: list[Path]) -> list[list[Path]]:
    """Divide the clips of a class into those of each long file; few clips are used repeatedly."""
    num_files = max(2, len(clips) // CLIPS_PER_FILE)
    starts = [number * len(clips) // num_files for number in range(num_files)]
    return [list(islice(cycle(clips), start, start + CLIPS_PER_FILE)) for start in starts]


def _waveform(clip: Path) -> np.ndarray:
    try:
        return open_clip(str(clip), RECIPE_CLIP).waveform
    except UnreadableClipError as error:
        raise UserError(f"{clip}: {error}") from error


def _write(path: Path, waveform: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, RECIPE_CLIP.sample_rate_hz, subtype="PCM_16")


def require_links(clips: list[Path], count: int, parameter: str) -> None:
    """Require that the file system can make as many links to the clips.

    Raises:
        UserError: It cannot.
    """
    if count > _MAX_LINKS * len(clips):
        raise UserError(
            f"`{parameter}={count}` must be at most {_MAX_LINKS * len(clips)}, {_MAX_LINKS} hard "
            f"links to each of the {len(clips)} clips: choose fewer files, or give more clips"
        )


def link_files(clips: list[Path], count: int, target: Path) -> int:
    """Hard-link clips repeatedly, as files of up to 35 classes, and return the number of classes.

    All links to a clip are in one class, and every class has two clips or more.
    """
    num_classes = min(_MAX_CLASSES, max(1, len(clips) // 2))
    folders = [target / f"class{number:02d}" for number in range(num_classes)]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(count):
        index = number % len(clips)
        clip = clips[index]
        os.link(clip, folders[index % num_classes] / f"{number:09d}{clip.suffix}")
    return num_classes
