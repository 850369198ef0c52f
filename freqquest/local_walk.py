"""Files and folders below a local folder, and the reasons why some must not be read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HIDDEN = (".", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir")
"""Prefixes of names that are left out: those of hidden files, and of folders that systems add."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder found below another folder."""

    path: str
    """Path relative to that folder, with `/` between its parts."""

    is_dir: bool
    """True for a folder."""

    num_bytes: int = 0
    """Size of the file."""

    modified_ns: int = 0
    """Time of the last change, in nanoseconds since 1970."""

    problem: str = ""
    """Reason why it must not be read; empty if it can be."""


def walk_local(root: Path, relative: str = "") -> Iterator[Entry]:
    """Yield every file and folder below a folder, sorted by path, without hidden ones.

    Links to files inside the folder are followed. Entries that must not be read, such as other
    links, have a `problem`.

    Args:
        root: The folder, without links in its path.
        relative: Folder below it to begin in.
    """
    try:
        items = sorted(os.scandir(root / relative), key=lambda item: item.name)
    except OSError as error:
        yield Entry(relative, is_dir=True, problem=f"folder cannot be listed: {error.strerror}")
        return
    for item in items:
        if item.name.startswith(HIDDEN):
            continue
        entry = _local_entry(item, root, f"{relative}/{item.name}" if relative else item.name)
        yield entry
        if entry.is_dir and not entry.problem:
            yield from walk_local(root, entry.path)


def _local_entry(item: os.DirEntry[str], root: Path, relative: str) -> Entry:
    if not _is_unicode(item.name):
        readable = relative.encode(errors="backslashreplace").decode()
        return Entry(readable, is_dir=False, problem="its name is not valid UTF-8: rename it")
    try:
        if item.is_symlink() and (problem := _link_problem(Path(item.path), root)):
            return Entry(relative, Path(item.path).is_dir(), problem=problem)
        if item.is_dir():
            return Entry(relative, is_dir=True)
        if not item.is_file():
            return Entry(relative, is_dir=False, problem="not a regular file")
        status = item.stat()
    except OSError as error:
        return Entry(relative, is_dir=False, problem=f"cannot be opened: {error.strerror}")
    return Entry(relative, is_dir=False, num_bytes=status.st_size, modified_ns=status.st_mtime_ns)


def _is_unicode(name: str) -> bool:
    """Return False for a name with bytes that are not UTF-8, which Python keeps as surrogates."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _link_problem(link: Path, root: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.11 and 3.12 raise RuntimeError for a circular link
        return "circular or broken link"
    if target.is_dir():
        return f"link to the folder {target}, which is not followed: copy the folder"
    if not target.is_relative_to(root):
        return f"link out of {root}: copy the file, or link it with ln (without -s)"
    return ""
