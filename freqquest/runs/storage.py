"""Every path that freqquest reads or writes: local folders and URIs (`s3://`, `gs://`, `file://`) alike.

The one module that touches file systems, on pyarrow's. Local paths become absolute at once, because Ray's workers
run in folders of their own.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from pyarrow import fs

from freqquest.errors import UserError


@dataclass(frozen=True)
class Location:
    """A file or folder on some file system."""

    filesystem: fs.FileSystem
    path: str

    def __truediv__(self, name: str) -> "Location":
        return Location(self.filesystem, f"{self.path.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.path if self.is_local else f"{self.filesystem.type_name}://{self.path}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> "Location":
        """The folder that holds this file or folder."""
        return Location(self.filesystem, self.path.rstrip("/").rsplit("/", 1)[0] or "/")

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's own file system."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        return bool(self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound)

    def is_dir(self) -> bool:
        """Whether there is a folder."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.Directory)

    def is_file(self) -> bool:
        """Whether there is a file."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.File)

    def num_bytes(self) -> int:
        """The file's size in bytes; 0 where there is no file."""
        return int(self.filesystem.get_file_info(self.path).size or 0)

    def open(self) -> IO[bytes]:
        """The file's content as a seekable binary stream."""
        if self.is_local:  # Python's own file halves the time to decode a clip
            return Path(self.path).open("rb")
        return cast(IO[bytes], self.filesystem.open_input_file(self.path))

    def read_bytes(self) -> bytes:
        """The file's whole content."""
        with self.open() as stream:
            return stream.read()

    def read_text(self) -> str:
        """The file's whole content, as UTF-8 (a byte order mark is dropped, as spreadsheets write one)."""
        return self.read_bytes().decode("utf-8-sig")

    def write_bytes(self, content: bytes) -> None:
        """Write the file whole or not at all: a reader, or a crash, never meets half of it."""
        self.parent.make_dirs()
        if not self.is_local:  # an object store shows an object only once it is complete
            with self.filesystem.open_output_stream(self.path) as stream:
                stream.write(content)
            return
        descriptor, staged = tempfile.mkstemp(dir=self.parent.path, prefix=f".{self.name[:40]}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(staged).chmod(0o644)
            Path(staged).replace(self.path)
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise

    def write_text(self, content: str) -> None:
        """Write text as UTF-8, whole or not at all."""
        self.write_bytes(content.encode())

    def make_dirs(self) -> None:
        """Make the folder and those above it; nothing happens where it exists."""
        self.filesystem.create_dir(self.path, recursive=True)

    def remove_file(self) -> None:
        """Remove the file; nothing happens where there is none."""
        if self.is_file():
            self.filesystem.delete_file(self.path)

    def list_dir(self) -> list["Location"]:
        """Files and folders directly inside, sorted by path, without hidden ones."""
        infos = self.filesystem.get_file_info(fs.FileSelector(self.path))
        shown = (info.path for info in infos if not info.base_name.startswith("."))
        return [Location(self.filesystem, path) for path in sorted(shown)]

    def walk(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Each folder below and including this one, as (relative path, folder names, file names), all sorted.

        Hidden names are left out, and links to folders are not followed: they could lead in circles or out of
        the tree.
        """
        yield from self._walk("")

    def _walk(self, relative: str) -> Iterator[tuple[str, list[str], list[str]]]:
        here = self / relative if relative else self
        folders: list[str] = []
        files: list[str] = []
        for info in self.filesystem.get_file_info(fs.FileSelector(here.path)):
            if info.base_name.startswith((".", "__MACOSX")):
                continue
            if info.type == fs.FileType.Directory:
                if not (self.is_local and Path(info.path).is_symlink()):
                    folders.append(info.base_name)
            else:
                files.append(info.base_name)
        yield relative, sorted(folders), sorted(files)
        for name in sorted(folders):
            yield from self._walk(f"{relative}/{name}" if relative else name)


def locate(path: str | Path) -> Location:
    """The location of a local path or URI.

    Raises:
        UserError: The URI's scheme is not supported, or it cannot be read as a URI.
    """
    text = str(path)
    if "://" not in text:
        return Location(fs.LocalFileSystem(), str(Path(text).expanduser().absolute()))
    if "?" in text:
        raise UserError(f"{text} has settings behind its '?': give the plain URI, and the settings by the environment")
    try:
        filesystem, inner = fs.FileSystem.from_uri(text)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot open {text}: {error}; use a local path, or s3://, gs:// or file://") from error
    return Location(filesystem, inner)


def upload_dir(source: Path, target: Location) -> None:
    """Copy a local folder's files, at any depth, into `target`, replacing files of the same name."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source).as_posix()
        if place.is_local:
            place.parent.make_dirs()
            shutil.copyfile(file, place.path)
        else:
            place.write_bytes(file.read_bytes())
