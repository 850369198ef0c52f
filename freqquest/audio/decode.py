"""Decode audio files to mono waveforms of one length, and encode WAV files.

libsndfile decodes what it can, FFmpeg the rest. NumPy, soundfile, soxr and, for FFmpeg, av; no Ray,
no deep-learning framework.
Shapes: S samples, C channels.
"""

import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TypeVar

import numpy as np
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.ffmpeg import FFmpegReader, is_installed
from freqquest.audio.file_check import audio_part
from freqquest.audio.file_view import read_at
from freqquest.audio.libsndfile import LibsndfileReader, NotForLibsndfileError
from freqquest.audio.parts import Part, Reader, count_frames, load_parts, require_possible
from freqquest.audio.unreadable import UnreadableClipError
from freqquest.audio.waveform import mix

__all__ = [
    "AUDIO_SUFFIXES",
    "Clip",
    "Part",
    "UnreadableClipError",
    "duration_s",
    "encode_wav",
    "is_audio",
    "levels",
    "load_clip",
    "load_clips",
    "load_waveforms",
]

AUDIO_SUFFIXES = (
    *(".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff", ".aif", ".au", ".m4a", ".aac", ".wma"),
    *(".wave", ".bwf", ".rf64", ".w64", ".aifc", ".snd", ".caf", ".voc", ".sph"),
    *(".oga", ".spx", ".mp2", ".mpga", ".m4b", ".m4r", ".adts", ".asf", ".amr", ".awb", ".ac3"),
    *(".eac3", ".dts", ".wv", ".ape", ".tta", ".tak", ".mpc", ".ra", ".rm", ".mka"),
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".webm", ".mkv", ".avi", ".wmv", ".flv"),
)
"""File name endings of audio files, and of videos with sound, in any letter case."""

_BLOCK_FRAMES = 1 << 18
"""Frames of a file that are in memory at once."""

_SMALL_FILE_BYTES = 1 << 20
"""Size up to which a file is read at once."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A clip in the configured format, and properties of its file."""

    waveform: np.ndarray
    """`[S]`, float32, full scale 1.0."""

    sample_rate_hz: int
    """Sample rate of the file, in Hz; the waveform has the configured rate."""

    duration_s: float
    """Exact length of the whole file, in seconds."""

    warning: str = ""
    """Oddity of the clip, such as silence; empty if there is none."""


def is_audio(name: str) -> bool:
    """Return whether a file name has an audio ending."""
    return name.lower().endswith(AUDIO_SUFFIXES)


def load_clip(
    stream: IO[bytes], config: ClipConfig, start_s: float = 0.0, end_s: float | None = None
) -> Clip:
    """Decode a clip, mix it to mono, resample it, and pad or cut it to the configured length.

    Only the part that is kept is decoded where the format allows it, so hours of audio cost no more
    than a clip. A part equals the same part of the whole file, up to rounding.

    Args:
        stream: The audio file, open for reading and seekable.
        config: Format of the clip.
        start_s: Start of the clip in the file, in seconds.
        end_s: End of the audio to use, in seconds. Silence follows until the clip's length.

    Raises:
        UnreadableClipError: The file is not audio, or it is empty, truncated, corrupt, ends before
            the clip starts, or has samples that are not finite.
    """
    (clip,) = load_clips(stream, config, [(start_s, end_s)])
    return clip


def load_clips(stream: IO[bytes], config: ClipConfig, parts: Sequence[Part]) -> list[Clip]:
    """Decode several clips of a file as `load_clip` does, and read the file once.

    Args:
        stream: The audio file, open for reading and seekable.
        config: Format of the clips.
        parts: Start and end of each, in ascending order of the starts. They may overlap.

    Raises:
        UnreadableClipError: The file is unreadable, or one of the clips is.
    """
    require_possible(parts)
    (clips,) = _decode(stream, lambda reader: [_load(reader, config, parts)])
    return clips


def load_waveforms(
    stream: IO[bytes], config: ClipConfig, starts_s: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yield the waveforms of clips of a file, however many: one is in memory at a time.

    Args:
        stream: The audio file, open for reading and seekable.
        config: Format of the clips.
        starts_s: Start of each in the file, in seconds, in ascending order. They may overlap.

    Raises:
        UnreadableClipError: The file is unreadable, or the next clip is. Whether the file ends
            early may be known only after the last one.
    """
    parts = [(start_s, None) for start_s in starts_s]
    require_possible(parts)
    yield from _decode(stream, lambda reader: _waveforms(reader, config, parts))


def duration_s(stream: IO[bytes]) -> float:
    """Return the exact length of an audio file in seconds: from its header, or by counting.

    Raises:
        UnreadableClipError: The file is not audio, empty, truncated or corrupt.
    """
    (length_s,) = _decode(stream, lambda reader: [count_frames(reader) / reader.sample_rate_hz])
    return length_s


def levels(stream: IO[bytes], step_s: float) -> np.ndarray:
    """Return the mean power of each step of an audio file, mixed to mono, in bounded memory.

    Args:
        stream: The audio file, open for reading and seekable.
        step_s: Length of a step in seconds. The last step may be shorter.

    Returns:
        One value a step, float64: 1.0 is the power of a full-scale square wave.

    Raises:
        UnreadableClipError: The file is not audio, empty, truncated or corrupt.
    """
    if not 0 < step_s < math.inf:
        raise ValueError(f"`step_s={step_s}` must be above 0")
    (found,) = _decode(stream, lambda reader: [_levels(reader, step_s)])
    return found


def encode_wav(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode a waveform `[S]`, full scale 1.0, as a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _decode(stream: IO[bytes], use: Callable[[Reader], Iterable[_Result]]) -> Iterator[_Result]:
    """Open a file by libsndfile or else by FFmpeg, and yield what is made of it."""
    size = stream.seek(0, io.SEEK_END)
    if size <= _SMALL_FILE_BYTES:
        stream = io.BytesIO(read_at(stream, 0, size))  # decoders seek a hundred times
    audio = audio_part(stream)
    audio.seek(0)
    num_done = 0
    try:
        with LibsndfileReader(audio) as reader:
            for result in use(reader):
                yield result
                num_done += 1
            return
    except NotForLibsndfileError as error:
        if not is_installed():
            raise UnreadableClipError(
                f"not readable as audio: {error}. Other formats need the package `av`: "
                "pip install av"
            ) from error
    with FFmpegReader(audio) as reader:
        yield from itertools.islice(use(reader), num_done, None)


def _load(reader: Reader, config: ClipConfig, parts: Sequence[Part]) -> list[Clip]:
    loaded = list(load_parts(reader, config, parts))
    length_s = count_frames(reader) / reader.sample_rate_hz
    return [
        Clip(
            waveform=waveform,
            sample_rate_hz=reader.sample_rate_hz,
            duration_s=length_s,
            warning=warning,
        )
        for waveform, warning in loaded
    ]


def _waveforms(reader: Reader, config: ClipConfig, parts: Sequence[Part]) -> Iterator[np.ndarray]:
    for waveform, _ in load_parts(reader, config, parts):
        yield waveform
    count_frames(reader)  # refuses a file that ends early


def _levels(reader: Reader, step_s: float) -> np.ndarray:
    step_frames = step_s * reader.sample_rate_hz
    if step_frames < 1:
        raise ValueError(
            f"`step_s={step_s}` must be at least a sample, 1 / {reader.sample_rate_hz} s"
        )
    num_read = 0
    parts: list[tuple[int, np.ndarray, np.ndarray]] = []  # first step, sums, numbers of frames
    for block in reader.blocks(_BLOCK_FRAMES):
        steps = ((num_read + np.arange(block.shape[0])) / step_frames).astype(np.int64)
        power = np.square(mix(block), dtype=np.float64)
        first = int(steps[0])
        parts.append((first, np.bincount(steps - first, power), np.bincount(steps - first)))
        num_read += block.shape[0]
    if not parts:
        raise UnreadableClipError("no samples: the file has only a header")
    total = np.zeros((2, parts[-1][0] + parts[-1][1].shape[0]))
    for first, sums, counts in parts:
        total[:, first : first + sums.shape[0]] += sums, counts
    mean_power: np.ndarray = total[0] / total[1]
    return mean_power
