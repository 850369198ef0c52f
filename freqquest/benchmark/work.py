"""The folder for what a benchmark makes on the way."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freqquest.errors import UserError


@contextmanager
def work_folder(path: str) -> Iterator[Path]:
    """An absolute path, removed with all that is in it at the end.

    Raises:
        UserError: The folder holds something already.
    """
    work = Path(path).absolute()
    if work.exists() and any(work.iterdir()):
        raise UserError(f"--work-dir {work} is not empty, and would be emptied at the end: name a new folder")
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
