"""Clips from files on any storage, or in memory. pyarrow and the decoders.

Shapes: S samples.
"""

import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import (
    Clip,
    Part,
    UnreadableClipError,
    levels,
    load_clip,
    load_clips,
    load_waveforms,
)
from freqquest.audio.decode import duration_s as length_of
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.dataset.windows import WindowConfig, window_starts
from freqquest.storage import locate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

AudioFile = str | IO[bytes]
"""Path or URI of a file, or the file itself: open for reading and seekable."""


def open_clip(
    path: str, config: ClipConfig, start_s: float = 0.0, end_s: float | None = None
) -> Clip:
    """Open and decode a clip, which starts and ends at these seconds of its file.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted, or ends too early.
        OSError: The storage fails, which says nothing about the clip.
    """
    with _open(path) as stream:
        return load_clip(stream, config, start_s, end_s)


def waveform_if_readable(
    path: str, config: ClipConfig, start_s: float, end_s: float
) -> np.ndarray | None:
    """Return the waveform `[S]` of a clip that was readable once; None if it is no longer.

    Args:
        path: Audio file.
        config: Format of the clip.
        start_s: Start of the clip in its file, in seconds.
        end_s: Its end; NaN if only the clip's length or the file ends it.
    """
    try:
        return open_clip(path, config, start_s, None if math.isnan(end_s) else end_s).waveform
    except (OSError, UnreadableClipError):
        return None


def open_clips(places: Sequence[tuple[str, Part]], config: ClipConfig) -> Iterator[Clip | str]:
    """Yield the clips at these places (path, start and end), or why they are unreadable.

    Each file is opened once. Those of its clips that come later stay in memory until then.

    Raises:
        OSError: The storage fails, which says nothing about the clips.
    """
    parts, num_left = defaultdict(list), Counter(path for path, _ in places)
    for path, part in places:
        parts[path].append(part)
    loaded: dict[str, dict[Part, Clip | str]] = {}
    for path, part in places:
        if path not in loaded:
            loaded[path] = _open_parts(path, parts[path], config)
        yield loaded[path][part]
        num_left[path] -= 1
        if not num_left[path]:
            del loaded[path]


def open_windows(path: str, config: ClipConfig, windows: WindowConfig) -> Iterator[np.ndarray]:
    """Open a file and yield the waveforms of its windows: one is in memory at a time.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    if windows.kind == "first":
        yield open_clip(path, config).waveform
        return
    duration_s, file_levels = measure_file(path, windows)
    starts_s = window_starts(windows, config.duration_s, 0.0, duration_s, file_levels)
    yield from open_waveforms(path, config, starts_s)


def open_waveforms(
    file: AudioFile, config: ClipConfig, starts_s: Sequence[float]
) -> Iterator[np.ndarray]:
    """Open a file and yield its clips that start at these seconds: one is in memory at a time.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    with _open(file) as stream:
        yield from load_waveforms(stream, config, starts_s)


def window_inputs(
    paths: Iterable[str], analysis: Analysis, windows: WindowConfig
) -> Iterator[tuple[int, Inputs, str]]:
    """Yield the windows of files: the file's number, the inputs of one window, and a reason.

    The reason is empty, unless the file cannot be read: then the inputs are zeros.
    """
    for number, path in enumerate(paths):
        try:
            for waveform in open_windows(path, analysis.clip, windows):
                yield number, analysis.analyze(waveform), ""
        except UnreadableClipError as error:
            yield number, analysis.zeros(), str(error)


def measure_file(file: AudioFile, windows: WindowConfig) -> tuple[float, np.ndarray]:
    """Return the length of a file in seconds, and the levels that its windows need, if any.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    with _open(file) as stream:
        duration_s = length_of(stream)
        is_loudest = windows.kind == "loudest"
        return duration_s, levels(stream, windows.hop_s) if is_loudest else np.zeros(0)


def _open_parts(path: str, parts: Iterable[Part], config: ClipConfig) -> dict[Part, Clip | str]:
    """Return the clips of a file, or why they are unreadable."""
    ascending = sorted(dict.fromkeys(parts), key=lambda part: part[0])
    try:
        with _open(path) as stream:
            return dict(zip(ascending, load_clips(stream, config, ascending), strict=True))
    except UnreadableClipError as error:
        if len(ascending) == 1:
            return {ascending[0]: str(error)}
    # One of them may have NaN, and the others be readable: each by itself.
    return {part: _open_parts(path, [part], config)[part] for part in ascending}


@contextmanager
def _open(file: AudioFile) -> Iterator[IO[bytes]]:
    """Open a file, unless it is open; tell faults of the storage from the file's."""
    if not isinstance(file, str):
        with _keep_errors(file) as stream:
            yield stream
        return
    location = locate(file)
    try:
        with location.open() as opened, _keep_errors(opened) as stream:
            yield stream
    except (FileNotFoundError, PermissionError) as error:
        if not location.parent.is_dir():
            raise  # not only the clip is missing: the storage is no longer mounted
        raise UnreadableClipError(str(error)) from error


@contextmanager
def _keep_errors(opened: IO[bytes]) -> Iterator[IO[bytes]]:
    """Raise errors of an open file that a decoder would drop."""
    stream = _ErrorKeepingStream(opened)
    try:
        yield cast(IO[bytes], stream)
    except UnreadableClipError:
        if stream.error is not None:
            raise stream.error from None
        raise
    if stream.error is not None:
        raise stream.error


class _ErrorKeepingStream(io.RawIOBase):
    """A stream that ends at an error and keeps it.

    A decoder would drop the error: it returns the samples so far, or takes the file for corrupt.
    """

    error: OSError | None = None

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = cast(io.BytesIO, stream)

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
