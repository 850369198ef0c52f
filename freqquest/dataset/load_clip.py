"""A clip from its file, wherever it lies."""

import io
from typing import IO, Any, cast

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip, UnreadableClipError, load_clip
from freqquest.storage import locate


def load(path: str, config: ClipConfig) -> Clip:
    """Open and decode a clip.

    Raises:
        UnreadableClipError: Its file is damaged, missing, or may not be read.
        OSError: The storage fails, which says nothing of the clip.
    """
    place = locate(path)
    try:
        with place.open() as stream:
            return _decode(_Watched(stream), config)
    except (FileNotFoundError, PermissionError) as error:
        if not place.parent.is_dir():
            raise  # not the clip alone: what was mounted there has gone
        raise UnreadableClipError(str(error)) from error


class _Watched(io.RawIOBase):
    """Keeps a stream's error: a decoder ends with the samples that it has, or takes the file for a damaged one."""

    error: OSError | None = None

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: Any = stream

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._stream.readinto(buffer))
        except OSError as error:
            self.error = error
            return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readable(self) -> bool:
        return True


def _decode(stream: _Watched, config: ClipConfig) -> Clip:
    try:
        clip = load_clip(cast(IO[bytes], stream), config)
    except UnreadableClipError:
        if stream.error is not None:
            raise stream.error from None
        raise
    if stream.error is not None:
        raise stream.error
    return clip
