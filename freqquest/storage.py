"""Files and folders behind local paths and URIs (`s3://`, `gs://`, `file://`).

Built on pyarrow's file systems. Every path that a user gives goes through this module; others use
pathlib for temporary and local files. Local paths become absolute at once, because Ray's workers
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

from pyarrow import fs

from freqquest.errors import UserError
from freqquest.local_walk import HIDDEN, Entry, walk_local

_LOCAL = fs.LocalFileSystem()

_BUFFER_BYTES = 256 * 2**10
"""Buffer of a local file that is read."""

_WHOLE_BYTES = 4 * 2**20
"""Size up to which a remote file is read at once; also the buffer for larger ones."""

_STAGED = "-staged-"
"""Part of a file's hidden name until the file is complete."""


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
        """Folder that holds this file or folder."""
        return Location(self.filesystem, self.path.rstrip("/").rsplit("/", 1)[0] or "/")

    @property
    def is_local(self) -> bool:
        """Return whether the location is on this machine's own file system."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def is_below(self, folder: "Location") -> bool:
        """Return whether this is `folder` itself or inside it, at any depth."""
        return self.filesystem == folder.filesystem and f"{self.path}/".startswith(
            f"{folder.path.rstrip('/')}/"
        )

    def exists(self) -> bool:
        """Return whether there is a file or a folder."""
        return bool(self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound)

    def is_dir(self) -> bool:
        """Return whether there is a folder."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.Directory)

    def is_file(self) -> bool:
        """Return whether there is a file."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.File)

    def num_bytes(self) -> int:
        """Return the file's size in bytes, or 0 if there is no file."""
        return int(self.filesystem.get_file_info(self.path).size or 0)

    def open(self) -> io.BufferedReader | io.BytesIO:
        """Open the file as a seekable binary stream."""
        if self.is_local:
            # Python's own file halves the time to decode a clip; the large buffer saves another
            # tenth.
            return io.BufferedReader(io.FileIO(self.path), _BUFFER_BYTES)
        # Each read of an object is a request: read small files at once, large ones in large pieces.
        file = self.filesystem.open_input_file(self.path)
        if file.size() <= _WHOLE_BYTES:
            return io.BytesIO(file.read())
        return io.BufferedReader(file, _WHOLE_BYTES)

    def read_bytes(self) -> bytes:
        """Return the file's content."""
        with self.open() as stream:
            return stream.read()

    def read_text(self) -> str:
        """Return the file's UTF-8 text, without the byte order mark that spreadsheets write."""
        return self.read_bytes().decode("utf-8-sig")

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Write the file atomically: neither readers nor a crash ever see half of it."""
        if not self.is_local:
            with ThreadPoolExecutor(1) as thread:  # Ctrl+C interrupts only the main thread
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
        """Write an object. Object stores show it only once it is closed, and need no folders."""
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(content)

    def write_text(self, content: str) -> None:
        """Write text as UTF-8, atomically."""
        self.write_bytes(content.encode())

    def make_dirs(self) -> None:
        """Create the folder and its parents if they are missing."""
        self.filesystem.create_dir(self.path, recursive=True)

    def remove_file(self) -> None:
        """Remove the file if there is one."""
        if self.is_file():
            self.filesystem.delete_file(self.path)

    def remove_dir(self) -> None:
        """Remove the folder and everything in it."""
        self.filesystem.delete_dir(self.path)

    def remove_staged(self) -> None:
        """Remove half-written files that killed processes left below this folder."""
        if self.is_local:
            for path in Path(self.path).rglob(f".*{_STAGED}*"):
                path.unlink(missing_ok=True)

    def list_dir(self) -> list["Location"]:
        """List the files and folders directly inside, sorted by path, without hidden ones.

        The list is empty if there is no such folder.
        """
        infos = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        shown = (info.path for info in infos if not info.base_name.startswith("."))
        return [Location(self.filesystem, path) for path in sorted(shown)]

    def entry(self) -> Entry:
        """Return what `walk` of the folder says of this file."""
        info = self.filesystem.get_file_info(self.path)
        return Entry(self.name, False, info.size or 0, info.mtime_ns or 0)

    def walk(self) -> Iterator[Entry]:
        """Yield every file and folder below this folder, sorted by path, without hidden ones.

        Follow links only to files inside this folder: others could be circular or lead outside.
        """
        if self.is_local:
            yield from walk_local(Path(self.path).resolve())
            return
        infos = self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True))
        start = len(self.path.rstrip("/")) + 1
        for info in sorted(infos, key=lambda info: info.path):
            if not any(part.startswith(HIDDEN) for part in info.path[start:].split("/")):
                is_dir = info.type == fs.FileType.Directory
                yield Entry(info.path[start:], is_dir, info.size or 0, info.mtime_ns or 0)


def locate(path: str | Path) -> Location:
    """Return the location of a local path or URI.

    Raises:
        UserError: The URI is malformed or its scheme is not supported.
    """
    text = str(path)
    if _ONE_SLASH.match(text):
        raise UserError(f"{text} lacks a slash: give {text.replace(':/', '://', 1)}")
    if "://" not in text:
        path = Path(text).expanduser()
        return Location(_LOCAL, os.path.abspath(path))  # noqa: PTH100  # resolve() follows links
    if "?" in text:
        raise UserError(
            f"{text} has settings after '?': give the plain URI, and set them in the environment"
        )
    scheme, _, rest = text.partition("://")
    host, _, inner = rest.partition("/")
    try:
        filesystem, base = _open_filesystem(f"{scheme}://{host}/")
    except ValueError as error:
        raise UserError(
            f"cannot open {text}: {error}; use a local path, s3://, gs:// or file://"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot open {text}: {reason(error)}; check the name and the network "
            "(set AWS_ENDPOINT_URL in the environment for a server other than AWS)"
        ) from error
    # To an object store, an empty part of a path is a name too. Everything else stays as given:
    # names may hold any character.
    inner = re.sub("/+", "/", inner).strip("/")
    return Location(filesystem, f"{base.rstrip('/')}/{inner}")


@lru_cache
def _open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    filesystem, base = fs.FileSystem.from_uri(uri)
    return filesystem, base


_ONE_SLASH = re.compile(r"(s3|gs|file):/(?!/)")
_CLOUD_ERROR = re.compile(
    r"AWS Error \w+ during \w+ operation: (?:curlCode: \d+, )?(.+?)(?:; Details|\s*\(Request ID|$)"
)


def reason(error: OSError) -> str:
    """Return a file system's error in a few words."""
    if match := _CLOUD_ERROR.search(str(error)):
        return match[1]
    return error.strerror or str(error)


def upload_dir(source: Path, target: Location) -> None:
    """Copy the files below a local folder into `target`, replacing files of the same name."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / file.relative_to(source).as_posix()
        if copy.is_local:
            copy.parent.make_dirs()
            shutil.copyfile(file, copy.path)
        else:
            copy.write_bytes(file.read_bytes())
