"""Checks of an audio file's bytes that the decoders leave out. Standard library only.

The decoders pass over tags in unexpected places, stop at the end of the first of several streams,
and return what is left of a truncated file.
"""

import io
import re
from typing import IO, cast

from freqquest.audio.chunks import mend_chunks
from freqquest.audio.file_view import FileView, read_at
from freqquest.audio.unreadable import UnreadableClipError, truncated

_TAIL_BYTES = 1 << 17
"""End of a file that is looked at: more than an Ogg page, which has at most 65,307 bytes."""

_OGG_BEGINS = re.compile(rb"OggS\0[\x02\x06]")
"""First page of a stream in an Ogg file."""

_FLAC_FRAME = re.compile(rb"\xff[\xf8\xf9]")

_MAX_FALSE_FRAMES = 16
"""Most marks of FLAC frames that other bytes have by chance in `_TAIL_BYTES`: 4 on average."""

_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Name of the part of a WMA file's header that has the file's length, 40 bytes on."""

_MPEG_FRAME = re.compile(rb"\xff[\xf2\xf3\xfa\xfb]")

_XING = re.compile(rb"(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)
"""Length table in an MP3's first frame, up to its number of bytes."""


def audio_part(stream: IO[bytes]) -> IO[bytes]:
    """Return the audio file within a file: without tags before it, and with lengths mended.

    Raises:
        UnreadableClipError: The file is truncated, or goes on after its audio.
    """
    head = read_at(stream, 0, 10)
    if head[:4] in (b"fLaC", b"") or head[:2] in (b"\xff\xfb", b"\xff\xf3"):
        return stream  # nothing to mend
    size = stream.seek(0, io.SEEK_END)
    start = _end_of_tags(stream, head)
    head = read_at(stream, start, 4)
    if start and head[:1] in (b"\xff", b"\0"):
        return stream  # an MP3 file, whose decoders know tags
    end = _end_of_ogg(stream, size) if head == b"OggS" else size
    part = stream
    if (start, end) != (0, size):
        part = cast(IO[bytes], FileView(stream, start, end))
    _check_length(part, head, end - start)
    replaced = mend_chunks(part, end - start)
    return cast(IO[bytes], FileView(stream, start, end, replaced)) if replaced else part


def _end_of_tags(stream: IO[bytes], head: bytes) -> int:
    """Return the position after ID3v2 tags at the beginning of a file."""
    position = 0
    while head[:3] == b"ID3" and len(head) == 10:
        num_bytes = 0
        for value in head[6:10]:
            num_bytes = num_bytes << 7 | value & 0x7F
        position += 10 + num_bytes + (10 if head[5] & 0x10 else 0)
        head = read_at(stream, position, 10)
    return position


def _end_of_ogg(stream: IO[bytes], size: int) -> int:
    """Return the position after the last page of an Ogg file, which must end a stream."""
    first = max(0, size - _TAIL_BYTES)
    tail = read_at(stream, first, _TAIL_BYTES)
    at = tail.rfind(b"OggS\0")
    lengths = tail[at + 27 :][: tail[at + 26]] if at >= 0 and at + 26 < len(tail) else b""
    end = at + 27 + len(lengths) + sum(lengths)
    if not lengths or end > len(tail) or not tail[at + 5] & 4:
        raise UnreadableClipError("truncated: the last Ogg page is missing or corrupt")
    return first + end


def _check_length(stream: IO[bytes], magic: bytes, size: int) -> None:
    """Refuse files that are shorter than their header says, if the decoders do not notice."""
    if magic == b"\x1aE\xdf\xa3":
        _check_matroska(stream, size)
    if magic == b"\x30\x26\xb2\x75":
        _check_asf(stream, size)


def _check_matroska(stream: IO[bytes], size: int) -> None:
    """Refuse a Matroska or WebM file that is shorter than its segment.

    The segment has no length in what browsers record.
    """
    head = read_at(stream, 0, 128)
    at = head.find(b"\x18\x53\x80\x67") + 4  # the segment's ID; then its length, of 1 to 8 bytes
    if at < 4 or at >= len(head) or not head[at]:
        return
    num_length_bytes = 9 - head[at].bit_length()
    bits = 7 * num_length_bytes
    num_bytes = int.from_bytes(head[at : at + num_length_bytes], "big") & ((1 << bits) - 1)
    actual = size - at - num_length_bytes
    if actual < num_bytes < (1 << bits) - 1:
        raise truncated(num_bytes, actual)


def _check_asf(stream: IO[bytes], size: int) -> None:
    """Refuse a WMA file that is shorter than its header says."""
    head = read_at(stream, 0, 1 << 12)
    at = head.find(_ASF_PROPERTIES) + 40
    expected = int.from_bytes(head[at : at + 8], "little") if at >= 40 else 0
    if size < expected < 1 << 62:
        raise truncated(expected, size)


def ogg_goes_on(stream: IO[bytes], position: int, num_before: int) -> bool:
    """Return whether an Ogg file has further streams: libsndfile reads the first only.

    Args:
        stream: The Ogg file, without anything after its last page.
        position: Position of the decoder after the last sample of the first stream.
        num_before: Most bytes that it read ahead.
    """
    before, after = _around(stream, position, num_before)
    return bool(_OGG_BEGINS.search(before + after))


def flac_goes_on(stream: IO[bytes], position: int, num_before: int) -> bool:
    """Return whether a FLAC file goes on after its last sample, as joined files do.

    Args:
        stream: The FLAC file.
        position: Position of the decoder after the last sample.
        num_before: Most bytes that it read ahead.
    """
    before, after = _around(stream, position, num_before)
    return b"fLaC" in before + after or len(_FLAC_FRAME.findall(after)) > _MAX_FALSE_FRAMES


def _around(stream: IO[bytes], position: int, num_before: int) -> tuple[bytes, bytes]:
    """Return the bytes before and after a position, but for the file's first."""
    first = max(1, position - num_before)
    return read_at(stream, first, position - first), read_at(stream, position, _TAIL_BYTES)


def mp3_has_exact_length(stream: IO[bytes]) -> bool:
    """Return whether an MP3 has a table with its length, which fits the file.

    Raises:
        UnreadableClipError: The file is shorter than the table says.
    """
    size = stream.seek(0, io.SEEK_END)
    table = _XING.search(read_at(stream, 0, 1 << 18))  # it follows a tag with, say, a picture
    if table is None:
        return False
    expected, actual = int.from_bytes(table[1], "big"), size - table.start() + 36
    if actual < 0.99 * expected:  # encoders disagree on what to count
        raise truncated(expected, actual)
    if actual < 1.01 * expected:
        return True
    # Tags may follow, or the frames of another file that was appended.
    return len(_MPEG_FRAME.findall(read_at(stream, size - (actual - expected), 1 << 16))) < 5
