"""Clips from files on any storage. pyarrow and the decoders. Shapes: M mel bands, T frames."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, TypeVar, cast

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip, UnreadableClipError, levels, load_clip
from freqquest.audio.decode import duration_s as length_of
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
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
    duration_s, file_levels = measure_file(path, windows)
    for start_s in window_starts(windows, config.duration_s, 0.0, duration_s, file_levels):
        yield open_clip(path, config, start_s)


def window_spectrograms(
    paths: Iterable[str], config: ClipConfig, view: SpectrogramConfig, windows: WindowConfig
) -> Iterator[tuple[int, np.ndarray, str]]:
    """Yield the windows of files: the file's number, a spectrogram `[M, T]`, and a reason.

    The reason is empty, unless the file cannot be read: then the spectrogram is zeros.
    """
    for number, path in enumerate(paths):
        try:
            for window in open_windows(path, config, windows):
                yield number, log_mel(window.waveform, view, config.sample_rate_hz), ""
        except UnreadableClipError as error:
            yield number, np.zeros((view.num_mels, view.num_frames), np.float32), str(error)


def measure_file(path: str, windows: WindowConfig) -> tuple[float, np.ndarray]:
    """Return the length of a file in seconds, and the levels that its windows need, if any.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    duration_s = open_duration(path)
    is_loudest = windows.kind == "loudest"
    return duration_s, open_levels(path, windows.hop_s) if is_loudest else np.zeros(0)


def open_duration(path: str) -> float:
    """Open a file and return its exact length in seconds.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    return _open(path, length_of)


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
