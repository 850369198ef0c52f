"""Audio files that libsndfile decodes: WAV, AIFF, AU, CAF, FLAC, Ogg Vorbis, Opus, MP3 and others.

NumPy and soundfile.
Shapes: S samples, C channels.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import numpy as np
import soundfile

from freqquest.audio.file_check import flac_goes_on, mp3_has_exact_length, ogg_goes_on
from freqquest.audio.unreadable import UnreadableClipError, check_format, truncated

_UNKNOWN_BYTES = 0x7FFF0000
"""Smallest length that is a placeholder, up to 2^32 - 1: a program that writes to a pipe does not
know the length.
"""

_UNKNOWN_FRAMES = 2**62
"""Number of frames from which the length is unknown: libsndfile gives 2^63 - 1 for a FLAC header
without one.
"""

_READ_AHEAD_BYTES = 1 << 14
"""More than libsndfile's decoders read ahead."""

_SEARCH_BYTES = 1 << 18
"""More than they read ahead after they looked for a place in the file."""

_MAX_MISSING_S = 0.1
"""Audio that may be missing at the end: encoders of MP3 count their padding differently."""

_PREROLL_S = {"OPUS": 2.0, "MPEG_LAYER_III": 2.0}
"""Audio decoded before the wanted part, by subtype: libsndfile's own preroll is too short.

Opus of a low bit rate, as for speech, remembers pure tones longer: parts may differ by 0.002.
"""

_VORBIS_PAGE_FRAMES = 1 << 18
"""More than a page of an Ogg file has: libsndfile's seeks into the last page miss the frame."""

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


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that soundfile takes for one that cannot seek, though it can.

    Otherwise soundfile seeks to where it is after each read, which costs a tenth of the time, and
    in MP3 gives zeros.
    """

    def seekable(self) -> bool:
        return False

    def can_seek(self) -> bool:
        """Return whether the file can seek."""
        return bool(super().seekable())


class _Source:
    """A file for libsndfile, which a damaged header may send to before its beginning.

    An error there would be printed with a traceback, as it is C that calls.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def seek(self, offset: int, whence: int) -> None:
        with suppress(ValueError, OSError):
            self._stream.seek(offset, whence)


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
            self._file = _ForwardFile(_Source(stream))
        except soundfile.LibsndfileError as error:
            raise NotForLibsndfileError(error.error_string.rstrip(".")) from error
        check_format(self._file.samplerate, self._file.channels)
        self._check_length()
        self.sample_rate_hz = self._file.samplerate
        self._end = self._wanted = 0  # frames read from the start on, and those asked for
        self._is_checked = False

    def __enter__(self) -> "LibsndfileReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def num_frames(self) -> int:
        """Return the exact length of the file, and check its end. Nothing can be read after it."""
        if not self._is_checked:
            try:
                self._check_end()
            except soundfile.LibsndfileError as error:
                raise _undecodable(error) from error
            self._is_checked = True
        return int(self._file.frames)

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """Return frames `[S, C]`, fewer at the end of the file."""
        self._wanted = min(start + num_frames, self._file.frames)
        try:
            first = self._go_near(start)
            samples: np.ndarray = self._file.read(
                max(0, self._wanted - first), dtype="float32", always_2d=True
            )
        except soundfile.LibsndfileError as error:
            raise _undecodable(error) from error
        self._end = first + samples.shape[0]
        return samples[start - first :]

    def blocks(self, num_frames: int) -> Iterator[np.ndarray]:
        """Yield the whole file in blocks `[S, C]`."""
        while (block := self.read(self._end, num_frames)).shape[0]:
            yield block
        self.num_frames()

    def _go_near(self, start: int) -> int:
        """Go to the frame from which decoding gives exact samples at a frame; return it."""
        file = self._file
        if start == self._end:
            return start
        if not file.can_seek():
            while self._end < start and (
                num_read := len(file.read(min(start - self._end, 1 << 16)))
            ):
                self._end += num_read
            return self._end
        first = min(start, int(file.frames))
        if file.subtype in _PREROLL_S:
            first = max(0, first - int(_PREROLL_S[file.subtype] * file.samplerate))
        elif file.subtype == "VORBIS":
            first = max(0, min(first, int(file.frames) - _VORBIS_PAGE_FRAMES))
        if self._end <= start:
            first = max(first, self._end)
        if first != self._end:
            file.seek(first)
        return first

    def _check_length(self) -> None:
        """Refuse headers that promise more than the file holds."""
        file = self._file
        if file.frames >= _UNKNOWN_FRAMES:
            raise NotForLibsndfileError("no length in the header, as when written to a pipe")
        if file.format == "MP3":
            position = self._stream.tell()
            if file.subtype != "MPEG_LAYER_III" or not mp3_has_exact_length(self._stream):
                raise NotForLibsndfileError("no length in the file")
            self._stream.seek(position)
        elif file.format != "FLAC":  # it takes a while to get the log
            self._check_log(file.extra_info)

    def _check_log(self, log: str) -> None:
        # The audio's size comes last. The size of the whole file is often wrong: it counts only if
        # the log, which is limited to 2 KB, ends before the audio's size.
        expected, actual = next(reversed(_LOGGED_SIZE.findall(log)), ("", ""))
        if actual and int(actual) < int(expected) < _UNKNOWN_BYTES:
            raise truncated(int(expected), int(actual))
        if self._file.format == "OGG" and _BROKEN_OGG.search(log):
            if ogg_goes_on(self._stream, 0, 0):
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
        num_read_ahead = _READ_AHEAD_BYTES
        if self._end < file.frames:
            file.seek(file.frames - 1)
            file.read(1)  # raises if the end is missing
            num_read_ahead = _SEARCH_BYTES
        goes_on = ogg_goes_on if file.format == "OGG" else flac_goes_on
        if goes_on(self._stream, self._stream.tell(), num_read_ahead):
            raise NotForLibsndfileError("more audio than its header says")


def _undecodable(error: soundfile.LibsndfileError) -> UnreadableClipError:
    reason = error.error_string.rstrip(".") or "the decoder gives up"
    return UnreadableClipError(f"truncated or corrupt: {reason}")
