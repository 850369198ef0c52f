"""Chunks of WAV, RF64, W64, AIFF, CAF and AU files: where the audio lies, and what follows it.

The decoders read the length of the audio from the file's header, and believe it. A recorder that
crashed leaves a length of zero there, and files that were joined byte by byte go on after it.
Standard library only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Literal

from freqquest.audio.file_view import read_at
from freqquest.audio.unreadable import UnreadableClipError, truncated

_MAX_CHUNKS = 10_000
"""Limit on the chunks that are read: a hostile file could have billions."""

_MAX_JUNK_BYTES = 1 << 16
"""Most bytes that may follow the last chunk: programs leave tags and padding there."""

_UNKNOWN = b"\xff\xff\xff\xff"
"""Length that libsndfile takes for "until the end of the file" in an AU file."""

_EDIT_COUNT_BYTES = 4
"""Bytes before the audio in its chunk of a CAF file."""

_NAME = re.compile(rb"[ -~]{4}")

_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """Layout of the chunks in a family of files."""

    first: int
    """Position of the first chunk."""

    audio: bytes
    """Name of the chunk with the audio."""

    name_bytes: int = 4
    size_bytes: int = 4
    byte_order: Literal["little", "big"] = "little"

    padding: int = 2
    """Chunks begin at multiples of this."""

    size_has_header: bool = False

    def size_of(self, num_bytes: int) -> bytes:
        """Return a chunk's size as the file writes it."""
        if self.size_has_header:
            num_bytes += self.name_bytes + self.size_bytes
        limit = (1 << 8 * self.size_bytes) - 1
        return min(num_bytes, limit).to_bytes(self.size_bytes, self.byte_order)


_FORMS = {
    b"RIFF": _Form(first=12, audio=b"data"),
    b"RIFX": _Form(first=12, audio=b"data", byte_order="big"),
    b"RF64": _Form(first=12, audio=b"data"),
    b"BW64": _Form(first=12, audio=b"data"),
    b"FORM": _Form(first=12, audio=b"SSND", byte_order="big"),
    b"caff": _Form(first=8, audio=b"data", size_bytes=8, byte_order="big", padding=1),
    b"riff": _Form(
        first=40,
        audio=b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
        name_bytes=16,
        size_bytes=8,
        padding=8,
        size_has_header=True,
    ),
}


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    start: int
    """Position of the content."""

    num_bytes: int
    next: int
    """Position of the next chunk."""


def mend_chunks(stream: IO[bytes], size: int) -> dict[int, bytes]:
    """Return bytes to replace so that all audio of a file is read, by their position.

    Nothing is replaced in files that are in order, and in those without chunks.

    Args:
        stream: An open, seekable file.
        size: Number of bytes in the file.

    Raises:
        UnreadableClipError: More audio follows than the header says.
    """
    magic = read_at(stream, 0, 4)
    if magic == b".snd":
        return _mend_au(stream, size)
    form = _FORMS.get(magic)
    audio = form and _find_audio(stream, form, size)
    if form is None or not audio:
        return {}
    if audio.num_bytes >= 1 << 62 or (magic == b"caff" and audio.num_bytes <= _EDIT_COUNT_BYTES):
        audio = replace(audio, num_bytes=0, next=audio.start)
    if audio.next >= size:
        if form.size_bytes == 8 and audio.start + audio.num_bytes > size:
            raise truncated(audio.num_bytes, size - audio.start)
        return {}  # libsndfile notices the others
    end = _end_of_chunks(stream, form, audio.next, size)
    if audio.num_bytes > 0:
        _refuse_more_audio(stream, audio.num_bytes, end, size)
        return {}
    if magic == b"FORM" or _is_padding(stream, end, size):
        return {}  # libsndfile reads AIFF files to the end
    # A RIFF file with that length is the same as an RF64 file without any.
    replaced = {0: b"RIFF"} if magic in (b"RF64", b"BW64") else {}
    return replaced | {audio.start - form.size_bytes: form.size_of(size - audio.start)}


def _mend_au(stream: IO[bytes], size: int) -> dict[int, bytes]:
    header = read_at(stream, 0, 12)
    audio_start = int.from_bytes(header[4:8], "big")
    num_bytes = int.from_bytes(header[8:12], "big")
    if num_bytes == 0 and not _is_padding(stream, audio_start, size):
        return {8: _UNKNOWN}
    if 0 < num_bytes < size - audio_start:
        _refuse_more_audio(stream, num_bytes, audio_start + num_bytes, size)
    return {}


def _find_audio(stream: IO[bytes], form: _Form, size: int) -> _Chunk | None:
    wide_bytes = None  # length of the audio in an RF64 file
    for chunk in _chunks(stream, form, form.first, size):
        if chunk.name == b"ds64":
            wide_bytes = int.from_bytes(read_at(stream, chunk.start + 8, 8), "little")
        if chunk.name == form.audio:
            if wide_bytes is None or chunk.num_bytes != 0xFFFFFFFF:
                return chunk
            end = chunk.start + wide_bytes
            return replace(chunk, num_bytes=wide_bytes, next=end + end % form.padding)
    return None


def _end_of_chunks(stream: IO[bytes], form: _Form, position: int, size: int) -> int:
    """Return where the chunks from a position on end, or another file begins."""
    for chunk in _chunks(stream, form, position, size):
        if chunk.next > size + 1 or chunk.name[:4] in _FORMS:
            break
        position = min(chunk.next, size)
    return position


def _chunks(stream: IO[bytes], form: _Form, position: int, size: int) -> Iterator[_Chunk]:
    """Yield the chunks from a position on, until something is no chunk."""
    header_bytes = form.name_bytes + form.size_bytes
    for _ in range(_MAX_CHUNKS):
        if position >= size:
            return
        header = read_at(stream, position, header_bytes)
        name = header[: form.name_bytes]
        if len(header) < header_bytes or not _NAME.match(name):
            return
        start = position + header_bytes
        num_bytes = int.from_bytes(header[form.name_bytes :], form.byte_order)
        if form.size_has_header:
            num_bytes = max(0, num_bytes - header_bytes)
        end = start + num_bytes
        position = end + -end % form.padding
        yield _Chunk(name, start, num_bytes, position)


def _is_padding(stream: IO[bytes], position: int, size: int) -> bool:
    """Return whether the rest of a file is a tag, zeros or nothing."""
    rest = read_at(stream, position, 1 << 12)
    return rest.startswith(_TAGS) or not rest.strip(b"\0") or position >= size


def _refuse_more_audio(stream: IO[bytes], num_bytes: int, end: int, size: int) -> None:
    """Refuse a file in which something else than tags or padding follows the last chunk."""
    is_another = read_at(stream, end, 4) in (*_FORMS, b".snd")
    is_much = size - end > _MAX_JUNK_BYTES and not _is_padding(stream, end, size)
    if is_another or is_much:
        raise UnreadableClipError(
            f"the header says {num_bytes} bytes of audio, but {size - end} more bytes follow it: "
            "save it again with an audio editor"
        )
