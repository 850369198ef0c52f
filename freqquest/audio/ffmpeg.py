"""Audio files that FFmpeg decodes, by the package `av` (PyAV): AAC, WMA, AMR, WebM and many others.

NumPy and, when a file is opened, av. Without that package such files are refused by its name.

Padding that encoders add (the priming of AAC in MP4, the pre-skip of Opus, the gapless data of
LAME) is cut off where the file says how much it is, as FFmpeg does. Raw AAC (`.aac`), AC-3, AMR and
WMA do not say it: their sound begins up to 50 ms late.

Packets before a wanted part are counted instead of decoded where the decoder soon forgets them
(`may_start_within`).
Shapes: S samples, C channels.
"""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from freqquest.audio.ffmpeg_codecs import (
    OF_CONSTANT_SIZE,
    UNEVEN,
    WITH_EXACT_LENGTH,
    as_float,
    may_start_within,
)
from freqquest.audio.unreadable import UnreadableClipError, check_format, truncated

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

_PREROLL_S = 2.0
"""Audio decoded before the wanted part, so that decoders with a memory are exact there."""

_LENGTH_TOLERANCE = 0.01
"""Share of that length that may be missing: some programs count their own padding."""

_LENGTH_TOLERANCE_S = 0.1
"""Time that may be missing besides: rounding, and the padding of short files."""

_MAX_BAD_PACKETS = 0.01
"""Share of an MP3's packets that may be junk, which its decoders are built to pass over."""

_NUM_MEASURED = 4
"""Packets that are decoded to learn how many samples a packet gives."""


def is_installed() -> bool:
    """Return whether the package `av` is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


class FFmpegReader:
    """The first audio stream of a file that FFmpeg decodes, read once, from start to end.

    Use it in a `with` statement.

    Args:
        stream: The file, open for reading and seekable.

    Raises:
        UnreadableClipError: FFmpeg does not read the file, or it has no sound.
    """

    sample_rate_hz: int

    def __init__(self, stream: IO[bytes]) -> None:
        import av

        av.logging.set_level(None)
        self._error = av.error.FFmpegError
        stream.seek(0)
        try:
            # Playlists are text files that name other files and servers: no protocol is allowed.
            self._container: InputContainer = av.open(
                stream, "r", metadata_errors="ignore", options={"protocol_whitelist": "none"}
            )
        except (self._error, ValueError) as error:
            raise UnreadableClipError(f"not readable as audio: {_text(error)}") from error
        try:
            self._begin()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "FFmpegReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _begin(self) -> None:
        """Decode the first packets: only they tell the true rate of HE-AAC."""
        if not self._container.streams.audio:
            if {stream.type for stream in self._container.streams} - {"data", "unknown", None}:
                raise UnreadableClipError("no audio stream: only video, pictures or text")
            raise UnreadableClipError("truncated or corrupt: FFmpeg finds no stream in the file")
        self._stream = self._container.streams.audio[0]
        context = self._stream.codec_context
        if context is None:
            raise UnreadableClipError("FFmpeg has no decoder for the audio stream")
        self._codec = context.name
        check_format(context.sample_rate, context.channels)
        self._packets: Iterator[Packet[AudioStream]] = self._container.demux(self._stream)
        self._is_flushed = False
        self._num_packets = self._num_bad = 0
        self._frame_size = 0  # most samples that a packet gave
        self._position = 0  # number of frames before `_ready`
        self._num_counted = 0  # number of frames decoded or counted
        self._ready: np.ndarray | None = None  # decoded, and not yet handed out
        self._format: tuple[int, int] | None = None  # sample rate, channels
        self._ticks_per_frame = 0  # of the file's clock; 0 if it is coarser
        self._ready = self._decode_next()
        if self._format is None:
            raise UnreadableClipError("no samples: the file has only a header")
        self.sample_rate_hz = self._format[0]
        self._nothing: np.ndarray = np.zeros((0, self._format[1]), np.float32)

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """Return frames `[S, C]`, fewer at the end of the file. It never goes back."""
        self._skip_packets(start)
        end = start + num_frames
        parts = []
        while self._position < end and (block := self._take()) is not None:
            first, last = (max(0, at - self._position) for at in (start, end))
            if first < block.shape[0]:  # an empty view would keep its block in memory
                parts.append(block[first:last])
            if last < block.shape[0]:
                self._ready = block[last:]
            self._position += min(last, block.shape[0])
        return np.concatenate(parts) if parts else self._nothing

    def blocks(self, num_frames: int) -> Iterator[np.ndarray]:
        """Yield the whole file in blocks `[S, C]`."""
        while (block := self.read(self._position, num_frames)).shape[0]:
            yield block
        self._check_end()

    def num_frames(self) -> int:
        """Return the exact length of the file. Afterwards, nothing can be read.

        The packets that are left are counted. They are decoded only if they do not say how many
        samples they hold.
        """
        for _ in range(_NUM_MEASURED):
            self._decode_next()
        last = None
        for packet in self._demux():
            if last is not None:
                self._count(last)
            last = packet
        if last is not None:
            self._decode(last)  # the file may be cut within it, or say how much of it is padding
        self._flush()
        self._check_end()
        return self._num_counted

    def _take(self) -> np.ndarray | None:
        block, self._ready = self._ready, None
        return self._decode_next() if block is None else block

    def _decode_next(self) -> np.ndarray | None:
        """Return the next frames `[S, C]`, or None at the end."""
        for packet in self._demux():
            block = self._decode(packet)
            if block is not None:
                return block
        return self._flush()

    def _demux(self) -> "Iterator[Packet[AudioStream]]":
        """Yield the packets that are left."""
        try:
            for packet in self._packets:
                if packet.size == 0:
                    return  # asks to flush the decoder
                if packet.is_corrupt and not self._codec.startswith("mp"):
                    raise UnreadableClipError("truncated: the last packet is not whole")
                self._num_packets += 1
                yield packet
        except self._error as error:
            raise UnreadableClipError(f"truncated or corrupt: {_text(error)}") from error

    def _decode(self, packet: "Packet[AudioStream]") -> np.ndarray | None:
        try:
            return self._join(packet.decode())
        except self._error as error:
            self._num_bad += 1
            if not self._codec.startswith("mp"):
                raise UnreadableClipError(f"truncated or corrupt: {_text(error)}") from error
            return None

    def _flush(self) -> np.ndarray | None:
        if self._is_flushed:
            return None
        self._is_flushed = True
        try:
            return self._join(self._stream.codec_context.decode(None))
        except self._error as error:
            raise UnreadableClipError(f"truncated or corrupt: {_text(error)}") from error

    def _join(self, frames: "list[AudioFrame]") -> np.ndarray | None:
        """Return decoded frames as one block, without padding that the file's header names."""
        blocks = []
        for frame in frames:
            found = (frame.sample_rate, frame.layout.nb_channels)
            check_format(*found)
            if self._format not in (None, found):
                raise UnreadableClipError(
                    f"the format changes within the file, from {self._format} to {found} "
                    "(sample rate, channels): save it again with an audio editor"
                )
            if self._format is None:
                self._format = found
                ticks = (self._stream.time_base or 0) * found[0]
                self._ticks_per_frame = ticks.denominator if ticks.numerator == 1 else 0
            block = as_float(frame)
            if (num_frames := self._exact(frame.duration)) is not None:
                block = block[:num_frames]
            self._frame_size = max(self._frame_size, block.shape[0])
            self._num_counted += block.shape[0]
            blocks.append(block)
        return np.concatenate(blocks) if blocks else None

    def _exact(self, duration: int | None) -> int | None:
        """Return a duration in frames, or None if the file's clock is coarser than that."""
        return duration // self._ticks_per_frame if duration and self._ticks_per_frame else None

    def _packet_frames(self, packet: "Packet[AudioStream]") -> int | None:
        """Return how many frames a packet gives, or None if only decoding tells."""
        if self._codec.startswith(UNEVEN) or packet.has_sidedata("skip_samples"):
            return None
        num_frames = self._exact(packet.duration)
        if num_frames is None and self._codec.startswith(OF_CONSTANT_SIZE):
            return self._frame_size
        return num_frames

    def _count(self, packet: "Packet[AudioStream]") -> None:
        num_frames = self._packet_frames(packet)
        if num_frames is None:
            self._decode(packet)
        else:
            self._num_counted += num_frames

    def _skip_packets(self, start: int) -> None:
        """Pass over packets before the wanted part, where the decoder forgets them."""
        if not may_start_within(self._codec, self._stream.codec_context.profile):
            return
        rate = self.sample_rate_hz
        goal = start - int(_PREROLL_S * rate)
        is_gapless = self._codec.startswith("mp") and self._num_counted < self._frame_size
        if goal < self._num_counted + rate or is_gapless:
            return
        for _ in range(_NUM_MEASURED):
            if self._num_counted <= goal:
                self._ready = self._decode_next()
        if self._num_counted <= goal:
            self._ready = self._count_until(goal)
        self._position = self._num_counted - (0 if self._ready is None else len(self._ready))

    def _count_until(self, goal: int) -> np.ndarray | None:
        """Pass over packets that end before a frame; return the next, decoded."""
        for packet in self._demux():
            num_frames = self._packet_frames(packet)
            expected = self._num_counted + (num_frames or 0)
            if num_frames is None or expected > goal:
                return self._decode(packet)
            self._num_counted = expected
        return None

    def _check_end(self) -> None:
        """Refuse a file that ended early."""
        if self._num_bad > max(3, _MAX_BAD_PACKETS * self._num_packets):
            raise UnreadableClipError(
                f"corrupt: {self._num_bad} of {self._num_packets} packets are not audio"
            )
        stream, container = self._stream, self._container
        index = stream.index_entries
        if "mov" in container.format.name and len(index):
            last = index[len(index) - 1]
            if last.pos + last.size > container.size:
                raise truncated(last.pos + last.size, container.size)
        if not container.format.name.startswith(WITH_EXACT_LENGTH) or not stream.time_base:
            return
        promised_s = float((stream.duration or 0) * stream.time_base)
        if container.format.name == "caf":
            promised_s = stream.frames / self.sample_rate_hz
        duration_s = self._num_counted / self.sample_rate_hz
        if duration_s < (1 - _LENGTH_TOLERANCE) * promised_s - _LENGTH_TOLERANCE_S:
            raise UnreadableClipError(
                f"truncated: {duration_s:.2f} s of audio, but the header says {promised_s:.2f} s"
            )


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
