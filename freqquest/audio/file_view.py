"""A part of a file that reads like a file. Standard library only."""

import io
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class FileView(io.RawIOBase):
    """The bytes from `start` to `end` of a stream, a few of them replaced.

    Args:
        stream: An open, seekable file, which no one else reads meanwhile.
        start: Position of the first byte.
        end: Position after the last byte.
        replaced: Bytes to read instead of the file's, by their position in the view.
    """

    def __init__(
        self, stream: IO[bytes], start: int, end: int, replaced: dict[int, bytes] | None = None
    ) -> None:
        self._stream = stream
        self._start = start
        self._size = end - start
        self._replaced = replaced or {}
        self._position = 0

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        first = self._position
        self._stream.seek(self._start + first)
        content = self._stream.read(max(0, min(len(target), self._size - first)))
        target[: len(content)] = content
        for position, patch in self._replaced.items():
            for index, value in enumerate(patch, position - first):
                if 0 <= index < len(content):
                    target[index] = value
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def read_at(stream: IO[bytes], position: int, num_bytes: int) -> bytes:
    """Return bytes of a file, fewer at its end; the first ones where a header leads before it."""
    stream.seek(max(0, position))
    return stream.read(num_bytes)
