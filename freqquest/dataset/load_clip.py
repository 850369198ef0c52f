"""Clips from files on any storage. pyarrow and the decoders."""

import io
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, TypeVar, cast

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip, UnreadableClipError, duration_s, levels, load_clip
from freqquest.dataset.windows import WindowConfig, window_starts
from freqquest.storage import locate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_Result = TypeVar("_Result")


def open_clip(
    path: str, config: ClipConfig, start_s: float = 0.0, end_s: float | None = None
) -> Clip:
    """Open and decode a clip, which starts and ends at these seconds of its file.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted, or ends too early.
        OSError: The storage fails, which says nothing about the clip.
    """
    return _open(path, lambda stream: load_clip(stream, config, start_s, end_s))


def open_windows(path: str, config: ClipConfig, windows: WindowConfig) -> Iterator[Clip]:
    """Open a file and yield its windows.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    if windows.kind == "first":
        yield open_clip(path, config)
        return
    file_levels = open_levels(path, windows.hop_s) if windows.kind == "loudest" else None
    for start_s in window_starts(windows, config.duration_s, 0.0, open_duration(path), file_levels):
        yield open_clip(path, config, start_s)


def open_duration(path: str) -> float:
    """Open a file and return its exact length in seconds.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    return _open(path, duration_s)


def open_levels(path: str, step_s: float) -> np.ndarray:
    """Open a file and return the mean power of each step of it.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    return _open(path, lambda stream: levels(stream, step_s))


def _open(path: str, use: Callable[[IO[bytes]], _Result]) -> _Result:
    """Open a file and return what is made of it; tell faults of the storage from the file's."""
    location = locate(path)
    try:
        with location.open() as stream:
            return _keep_errors(_ErrorKeepingStream(stream), use)
    except (FileNotFoundError, PermissionError) as error:
        if not location.parent.is_dir():
            raise  # not only the clip is missing: the storage is no longer mounted
        raise UnreadableClipError(str(error)) from error


class _ErrorKeepingStream(io.RawIOBase):
    """A stream that ends at an error and keeps it.

    A decoder would drop the error: it returns the samples so far, or takes the file for corrupt.
    """

    error: OSError | None = None

    def __init__(self, stream: io.BufferedReader | io.BytesIO) -> None:
        self._stream = stream

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            return self._stream.readinto(buffer)
        except OSError as error:
            self.error = error
            return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _keep_errors(stream: _ErrorKeepingStream, use: Callable[[IO[bytes]], _Result]) -> _Result:
    try:
        result = use(cast(IO[bytes], stream))
    except UnreadableClipError:
        if stream.error is not None:
            raise stream.error from None
        raise
    if stream.error is not None:
        raise stream.error
    return result
