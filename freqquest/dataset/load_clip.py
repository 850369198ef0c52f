"""Clips from files on any storage. pyarrow and soundfile."""

import io
from typing import IO, TYPE_CHECKING, cast

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip, UnreadableClipError, load_clip
from freqquest.storage import locate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def open_clip(
    path: str,
    config: ClipConfig,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Clip:
    """Open and decode a clip.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the clip.
    """
    location = locate(path)
    try:
        with location.open() as stream:
            return _decode(_ErrorKeepingStream(stream), config)
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


def _decode(stream: _ErrorKeepingStream, config: ClipConfig) -> Clip:
    try:
        clip = load_clip(cast(IO[bytes], stream), config)
    except UnreadableClipError:
        if stream.error is not None:
            raise stream.error from None
        raise
    if stream.error is not None:
        raise stream.error
    return clip
