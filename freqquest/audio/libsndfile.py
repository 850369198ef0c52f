"""Audio files that libsndfile decodes: WAV, AIFF, AU, CAF, FLAC, Ogg Vorbis, Opus, MP3 and others.

NumPy and soundfile.
Shapes: S samples, C channels.
"""

import io
import re
from collections.abc import Iterator
from typing import IO

import numpy as np
import soundfile

from freqquest.audio.file_check import is_chained_ogg, mp3_has_exact_length
from freqquest.audio.unreadable import UnreadableClipError, check_format, truncated

_UNKNOWN_BYTES = 0x7FFF0000
"""Smallest length that is a placeholder, up to 2^32 - 1: a program that writes to a pipe does not
know the length.
"""

_UNKNOWN_FRAMES = 2**62
"""Number of frames from which the length is unknown: libsndfile gives 2^63 - 1 for a FLAC header
without one.
"""

_MAX_REST_BYTES = 1 << 16
"""Most bytes that may follow the last sample of a FLAC file, such as tags."""

_MAX_MISSING_S = 0.1
"""Audio that may be missing at the end: encoders of MP3 count their padding differently."""

_OPUS_PREROLL_S = 1.0
"""Audio decoded before the wanted part of an Opus file, so that the decoder is exact there."""

_LOGGED_SIZE = re.compile(
    r"^ *(?:RIFF|RIFX|riff|FORM|Riff size|data|SSND|Data Size) *: (\d+)\b(?: \(should be (\d+)\))?",
    re.MULTILINE,
)
"""Sizes in libsndfile's log of WAV, W64, AIFF, AU and RF64 files: bytes by the header, and the
actual bytes if they differ.
"""

_BROKEN_OGG = re.compile(
    r"^Ogg ?: (?:File ended unexpectedly|Last page lacks|Junk after the last page)", re.MULTILINE
)


class NotForLibsndfileError(Exception):
    """A file that libsndfile does not read, or not to its end. FFmpeg may."""


class LibsndfileReader:
    """A file that libsndfile decodes. Use it in a `with` statement.

    Args:
        stream: The audio file, open for reading and seekable.

    Raises:
        NotForLibsndfileError: Another decoder may read the file, or more of it.
        UnreadableClipError: The file is truncated, or its header is impossible.
    """

    sample_rate_hz: int

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        try:
            self._file = soundfile.SoundFile(stream)
        except soundfile.LibsndfileError as error:
            raise NotForLibsndfileError(error.error_string.rstrip(".")) from error
        check_format(self._file.samplerate, self._file.channels)
        self._check_length()
        self.sample_rate_hz = self._file.samplerate
        self._end = self._wanted = 0  # frames read from the start on, and those asked for

    def __enter__(self) -> "LibsndfileReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def num_frames(self) -> int:
        """Return the exact length of the file, whose end is checked."""
        try:
            self._check_end()
        except soundfile.LibsndfileError as error:
            raise _undecodable(error) from error
        return int(self._file.frames)

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """Return frames `[S, C]`, fewer at the end of the file."""
        try:
            self._go_to(start)
            self._wanted = min(start + num_frames, self._file.frames)
            samples: np.ndarray = self._file.read(
                max(0, self._wanted - start),
                dtype="float32",
                always_2d=True,
            )
            self._end = start + samples.shape[0]
        except soundfile.LibsndfileError as error:
            raise _undecodable(error) from error
        return samples

    def blocks(self, num_frames: int) -> Iterator[np.ndarray]:
        """Yield the whole file in blocks `[S, C]`."""
        while (block := self.read(self._end, num_frames)).shape[0]:
            yield block
        self.num_frames()

    def _go_to(self, start: int) -> None:
        if start == self._end:
            return
        num_dropped = start
        if self._file.seekable():
            # libsndfile sees to a preroll, but that of Opus is as short as its specification allows.
            preroll_s = _OPUS_PREROLL_S if self._file.subtype == "OPUS" else 0
            num_dropped = min(start, int(preroll_s * self._file.samplerate))
            if start > num_dropped:  # an MP3 begins with zeros after a seek to its beginning
                self._file.seek(min(start - num_dropped, self._file.frames))
        while num_dropped > 0:
            num_read = len(self._file.read(min(num_dropped, 1 << 16), dtype="float32"))
            if num_read == 0:
                return
            num_dropped -= num_read

    def _check_length(self) -> None:
        """Refuse headers that promise more than the file holds."""
        file = self._file
        if file.frames >= _UNKNOWN_FRAMES:
            raise NotForLibsndfileError("no length in the header, as when written to a pipe")
        log = file.extra_info
        # The audio's size comes last. The size of the whole file is often wrong: it counts only if
        # the log, which is limited to 2 KB, ends before the audio's size.
        expected, actual = next(reversed(_LOGGED_SIZE.findall(log)), ("", ""))
        if actual and int(actual) < int(expected) < _UNKNOWN_BYTES:
            raise truncated(int(expected), int(actual))
        if file.format == "MP3":
            position = self._stream.tell()
            if file.subtype != "MPEG_LAYER_III" or not mp3_has_exact_length(self._stream):
                raise NotForLibsndfileError("no length in the file")
            self._stream.seek(position)
        elif file.format == "OGG" and _BROKEN_OGG.search(log):
            if is_chained_ogg(self._stream, 0):
                raise NotForLibsndfileError("several streams, one after the other")
            raise UnreadableClipError("truncated: the last Ogg page is missing or corrupt")

    def _check_end(self) -> None:
        """Check that all is there, and that a FLAC or Ogg file ends where its header says."""
        file = self._file
        if self._wanted - self._end > _MAX_MISSING_S * file.samplerate:
            raise UnreadableClipError(
                f"truncated or corrupt: sound until {self._end / file.samplerate:.2f} s of "
                f"{file.frames / file.samplerate:.2f} s"
            )
        if file.format not in ("FLAC", "OGG"):
            return
        if self._end < file.frames:
            file.seek(file.frames - 1)
            file.read(1)  # raises if the end is missing
        position = self._stream.tell()
        if file.format == "OGG":
            if is_chained_ogg(self._stream, position):
                raise NotForLibsndfileError("several streams, one after the other")
        elif self._stream.seek(0, io.SEEK_END) - position > _MAX_REST_BYTES:
            raise NotForLibsndfileError("more audio than its header says")


def _undecodable(error: soundfile.LibsndfileError) -> UnreadableClipError:
    reason = error.error_string.rstrip(".") or "the decoder gives up"
    return UnreadableClipError(f"truncated or corrupt: {reason}")
