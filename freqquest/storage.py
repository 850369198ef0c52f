"""Every path that freqquest reads or writes: local folders and URIs (`s3://`, `gs://`, `file://`) alike.

The one module that touches file systems, on pyarrow's. Local paths become absolute at once, because Ray's workers
run in folders of their own.
"""

import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from pyarrow import fs

from freqquest.errors import UserError

_LOCAL = fs.LocalFileSystem()
_BUFFER_BYTES = 256 * 2**10
_WHOLE_BYTES = 4 * 2**20

_STAGED = "-staged-"
"""In the hidden name of a file until it is whole."""


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

    def is_below(self, folder: "Location") -> bool:
        """Whether this is inside of a folder, at any depth, or the folder itself."""
        return self.filesystem == folder.filesystem and f"{self.path}/".startswith(
            f"{folder.path.rstrip('/')}/"
        )

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
        if (
            self.is_local
        ):  # Python's own file halves the time to decode a clip, a large buffer takes a tenth more
            return Path(self.path).open("rb", buffering=_BUFFER_BYTES)
        # Each read of an object is a request: small files come whole, large ones in large pieces.
        file = self.filesystem.open_input_file(self.path)
        return (
            io.BytesIO(file.read())
            if file.size() <= _WHOLE_BYTES
            else io.BufferedReader(file, _WHOLE_BYTES)
        )

    def read_bytes(self) -> bytes:
        """The file's whole content."""
        with self.open() as stream:
            return stream.read()

    def read_text(self) -> str:
        """The file's whole content, as UTF-8 (a byte order mark is dropped, as spreadsheets write one)."""
        return self.read_bytes().decode("utf-8-sig")

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Write the file whole or not at all: a reader, or a crash, never meets half of it."""
        if not self.is_local:
            with ThreadPoolExecutor(1) as thread:  # Ctrl+C reaches the main thread alone
                thread.submit(self._write_object, content).result()
            return
        self.parent.make_dirs()
        descriptor, staged = tempfile.mkstemp(
            dir=self.parent.path, prefix=f".{self.name[:40]}{_STAGED}"
        )
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

    def _write_object(self, content: bytes | memoryview) -> None:
        """An object store shows an object once it is closed, and needs no folders."""
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(content)

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

    def remove_dir(self) -> None:
        """Remove the folder and all that lies in it."""
        self.filesystem.delete_dir(self.path)

    def remove_staged(self) -> None:
        """Remove what killed processes left half-written in this folder and those below."""
        if self.is_local:
            for path in Path(self.path).rglob(f".*{_STAGED}*"):
                path.unlink(missing_ok=True)

    def list_dir(self) -> list["Location"]:
        """Files and folders directly inside, sorted by path, without hidden ones; none where there is no folder."""
        infos = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        shown = (info.path for info in infos if not info.base_name.startswith("."))
        return [Location(self.filesystem, path) for path in sorted(shown)]

    def walk(self) -> "Iterator[Entry]":
        """Every file and folder below this folder, sorted by path, but for hidden ones.

        Links are followed only to files inside this folder: others could lead in circles or out of it.
        """
        if self.is_local:
            yield from _walk_local(Path(self.path).resolve(), "")
            return
        infos = self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True))
        start = len(self.path.rstrip("/")) + 1
        for info in sorted(infos, key=lambda info: info.path):
            if not any(part.startswith(_HIDDEN) for part in info.path[start:].split("/")):
                is_dir = info.type == fs.FileType.Directory
                yield Entry(info.path[start:], is_dir, info.size or 0, info.mtime_ns or 0)


_HIDDEN = (".", "__MACOSX")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder found below another folder."""

    path: str
    """From that folder on, parts joined by `/`."""
    is_dir: bool
    num_bytes: int = 0
    modified_ns: int = 0
    """Time of its last change, in nanoseconds since 1970."""
    problem: str = ""
    """Why it must not be read; empty where it can be."""


def _walk_local(root: Path, relative: str) -> Iterator[Entry]:
    try:
        found = sorted(os.scandir(root / relative), key=lambda item: item.name)
    except OSError as error:
        yield Entry(relative, is_dir=True, problem=f"folder cannot be listed: {error.strerror}")
        return
    for item in found:
        if item.name.startswith(_HIDDEN):
            continue
        entry = _local_entry(item, root, f"{relative}/{item.name}" if relative else item.name)
        yield entry
        if entry.is_dir and not entry.problem:
            yield from _walk_local(root, entry.path)


def _local_entry(item: os.DirEntry[str], root: Path, relative: str) -> Entry:
    readable = relative.encode(errors="backslashreplace").decode()
    if readable != relative:
        return Entry(readable, is_dir=False, problem="its name is not valid UTF-8: rename it")
    try:
        if item.is_symlink() and (problem := _link_problem(Path(item.path), root)):
            return Entry(relative, is_dir=False, problem=problem)
        if not item.is_dir() and not item.is_file():
            return Entry(relative, is_dir=False, problem="not a regular file")
        status = item.stat()
    except OSError as error:
        return Entry(relative, is_dir=False, problem=f"cannot be opened: {error.strerror}")
    return Entry(relative, item.is_dir(), status.st_size, status.st_mtime_ns)


def _link_problem(link: Path, root: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.11 and 3.12 raise RuntimeError for a circle
        return "a link that leads in a circle or to nothing"
    if not target.is_relative_to(root):
        return f"a link out of {root}: copy the file, or link it with ln (without -s)"
    return "a link to a folder, which is not followed" if target.is_dir() else ""


def locate(path: str | Path) -> Location:
    """The location of a local path or URI.

    Raises:
        UserError: The URI's scheme is not supported, or it cannot be read as a URI.
    """
    text = str(path)
    if _ONE_SLASH.match(text):
        raise UserError(f"{text} has one slash too few: give {text.replace(':/', '://', 1)}")
    if "://" not in text:
        return Location(_LOCAL, str(Path(text).expanduser().absolute()))
    if "?" in text:
        raise UserError(
            f"{text} has settings behind its '?': give the plain URI, and the settings by the environment"
        )
    scheme, _, rest = text.partition("://")
    host, _, inner = rest.partition("/")
    try:
        filesystem, base = _open_filesystem(f"{scheme}://{host}/")
    except ValueError as error:
        raise UserError(
            f"cannot open {text}: {error}; use a local path, or s3://, gs:// or file://"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot open {text}: {reason(error)}; is the name right, and the network there? (A server other than AWS "
            "is named by the environment's AWS_ENDPOINT_URL)"
        ) from error
    inner = re.sub("/+", "/", inner)  # an object store takes an empty name for one
    return Location(
        filesystem, f"{base.rstrip('/')}/{inner.strip('/')}"
    )  # else as it stands: names may hold anything


@lru_cache
def _open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    filesystem, base = fs.FileSystem.from_uri(uri)
    return filesystem, base


_ONE_SLASH = re.compile(r"(s3|gs|file):/(?!/)")
_CLOUD_ERROR = re.compile(
    r"AWS Error \w+ during \w+ operation: (?:curlCode: \d+, )?(.+?)(?:; Details|\s*\(Request ID|$)"
)


def reason(error: OSError) -> str:
    """Why a file system refused, in a few words."""
    if match := _CLOUD_ERROR.search(str(error)):
        return match[1]
    return error.strerror or str(error)


def upload_dir(source: Path, target: Location) -> None:
    """Copy a local folder's files, at any depth, into `target`, replacing files of the same name."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source).as_posix()
        if place.is_local:
            place.parent.make_dirs()
            shutil.copyfile(file, place.path)
        else:
            place.write_bytes(file.read_bytes())
