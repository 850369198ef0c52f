"""The folder of a benchmark's intermediate files, the clips in it, and the job that reads them."""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freqquest.audio.decode import is_audio
from freqquest.errors import UserError


@contextmanager
def work_folder(work_dir: str) -> Iterator[Path]:
    """Yield the folder's absolute path. The folder is deleted at the end.

    Raises:
        UserError: The folder is not empty.
    """
    work = Path(work_dir).absolute()
    if work.exists() and any(work.iterdir()):
        raise UserError(
            f"`work_dir={work}` is not empty, and would be deleted at the end: name a new folder"
        )
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def copy_clips(audio_dir: Path, target: Path) -> list[Path]:
    """Copy a folder of clips and return the copies, shuffled to mix the classes.

    The copies are on the file system of the work folder, where hard links to them are free.

    Raises:
        UserError: The folder does not exist, contains the work folder, or has no clips.
    """
    if not audio_dir.is_dir():
        raise UserError(f"`audio_dir={audio_dir}` does not exist or is not a folder")
    if target.resolve().is_relative_to(audio_dir.resolve()):
        raise UserError(f"`work_dir` must not be inside `audio_dir={audio_dir}`: name another one")
    shutil.copytree(audio_dir, target)
    clips = sorted(path for path in target.rglob("*") if is_audio(path.name))
    if not clips:
        raise UserError(f"`audio_dir={audio_dir}` has no clips")
    random.Random(0).shuffle(clips)
    return clips


def link_clips(clips: list[Path], count: int, target: Path) -> list[Path]:
    """Hard-link clips, repeatedly if there are too few, as `<target>/<round>/<class>/<name>`."""
    links = []
    for number in range(count):
        clip = clips[number % len(clips)]
        link = target / str(number // len(clips)) / clip.relative_to(target.parent / "clips")
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(clip, link)
        links.append(link)
    return links


def job_command(name: str, **settings: object) -> list[str]:
    """Return the command line of a job with settings; True is a flag alone, a tuple many values."""
    command = [sys.executable, "-m", "freqquest", name]
    for setting, value in settings.items():
        values = value if isinstance(value, tuple) else (value,) * (value is not True)
        command += [f"--{setting.replace('_', '-')}", *map(str, values)]
    return command


def preprocess_command(audio_dir: Path, dataset_dir: Path) -> list[str]:
    """Return the command of the preprocess job."""
    return job_command("preprocess", audio_dir=audio_dir, dataset_dir=dataset_dir)
