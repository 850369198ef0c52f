"""The folder for what a benchmark makes on the way, and the clips in it."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freqquest.audio.decode import is_audio
from freqquest.errors import UserError


@contextmanager
def work_folder(path: str) -> Iterator[Path]:
    """An absolute path, removed with all that is in it at the end.

    Raises:
        UserError: The folder holds something already.
    """
    work = Path(path).absolute()
    if work.exists() and any(work.iterdir()):
        raise UserError(
            f"--work-dir {work} is not empty, and would be emptied at the end: name a new folder"
        )
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def copy_clips(audio_dir: Path, target: Path) -> list[Path]:
    """A copy in the work folder, where links to it cost nothing; the clips, in an order that mixes the classes.

    Raises:
        UserError: There is no such folder, it holds the work folder, or has no clips.
    """
    if not audio_dir.is_dir():
        raise UserError(f"--audio-dir {audio_dir} does not exist or is not a folder")
    if target.resolve().is_relative_to(audio_dir.resolve()):
        raise UserError(f"--work-dir lies inside of --audio-dir {audio_dir}: choose another")
    shutil.copytree(audio_dir, target)
    clips = sorted(path for path in target.rglob("*") if is_audio(path.name))
    if not clips:
        raise UserError(f"--audio-dir {audio_dir} has no clips")
    random.Random(0).shuffle(clips)
    return clips


def link_clips(clips: list[Path], count: int, target: Path) -> list[Path]:
    """So many clips in `<target>/<round>/`, and there in the folders that they come from, as hard links."""
    links = []
    for number in range(count):
        clip = clips[number % len(clips)]
        link = target / str(number // len(clips)) / clip.relative_to(target.parent / "clips")
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(clip, link)
        links.append(link)
    return links
