"""The output of an export: written whole or not at all, and never over another without being told.

pyarrow only.
"""

import os
import shutil
import tempfile
from pathlib import Path

from freqquest.errors import UserError
from freqquest.storage import Location

_SAVED_MODEL = "saved_model.pb"
"""File that makes a folder a SavedModel."""


def check_output(output: Location, *, is_folder: bool, overwrite: bool) -> None:
    """Refuse an output that exists, that is not what would be replaced, or that cannot be written.

    Raises:
        UserError: It exists and `overwrite` is not set, it is something else, or its local folder
            cannot be written to.
    """
    if output.is_local:
        _require_writable(Path(output.path))
    if not output.exists():
        return
    if is_folder and not (output / _SAVED_MODEL).is_file():
        raise UserError(
            f"`output={output}` exists and is not a SavedModel: choose another folder, which the "
            "export creates"
        )
    if not is_folder and output.is_dir():
        raise UserError(f"`output={output}` is a folder: give the file to write in it")
    if not overwrite:
        raise UserError(f"`output={output}` exists: choose another path, or pass `overwrite=True`")


def _require_writable(output: Path) -> None:
    """Check the nearest folder above an output that exists."""
    folder = next(path for path in output.parents if os.access(path, os.F_OK))
    if not folder.is_dir():
        raise UserError(f"`output={output}` is in {folder}, which is a file: choose another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"`output={output}` cannot be written: {folder} gives no permission; choose another "
            "path, or change its permissions"
        )


def write_output(source: Path, output: Location) -> None:
    """Write a finished file or folder to its place, instead of an earlier one."""
    if source.is_file():
        output.write_bytes(source.read_bytes())
    elif output.is_local:
        _replace_folder(source, Path(output.path))
    else:
        if output.exists():
            output.remove_dir()
        files = [path for path in source.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda path: path.name == _SAVED_MODEL):  # that file last
            (output / file.relative_to(source).as_posix()).write_bytes(file.read_bytes())


def _replace_folder(source: Path, target: Path) -> None:
    """Copy a folder beside its place, then rename it, so that no part of it is ever there alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name[:40]}-") as staged:
        shutil.copytree(source, f"{staged}/new")
        earlier = target.rename(f"{staged}/old") if target.exists() else None
        try:
            Path(f"{staged}/new").rename(target)
        except OSError:
            if earlier is not None:
                earlier.rename(target)
            raise
