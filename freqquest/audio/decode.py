"""Decode audio files to mono waveforms of one length, and encode WAV files.

NumPy, soundfile and soxr; no Ray, no deep-learning framework.
Shapes: S samples, C channels.
"""

import io
import re
from dataclasses import dataclass
from typing import IO

import numpy as np
import soundfile
import soxr

from freqquest.audio.clip import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, ClipConfig

AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff", ".aif", ".au")
"""File name endings of audio files, in any letter case."""

MAX_CHANNELS = 32
"""Limit on channels: more than a microphone array has.

Together with the highest sample rate, it limits a clip to about 400 MB of memory.
"""

_MAX_PEAK = 1e10
"""Largest sample accepted: far above integer scale in a float file (2^31), and far below the
overflow of a power spectrum in float32.
"""

_UNKNOWN_BYTES = 0x7FFF0000
"""Smallest length that is a placeholder, up to 2^32 - 1: a program that writes to a pipe does not
know the length.
"""

_UNKNOWN_FRAMES = 2**62
"""Number of frames from which the length is unknown: libsndfile gives 2^63 - 1 for a FLAC header
without one.
"""

_LOGGED_SIZE = re.compile(
    r"^ *(?:RIFF|RIFX|FORM|Riff size|data|SSND|Data Size) *: (\d+)\b(?: \(should be (\d+)\))?",
    re.MULTILINE,
)
"""Sizes in libsndfile's log of WAV, AIFF, AU and RF64 files: bytes by the header, and the actual
bytes if they differ.
"""

_BROKEN_OGG = re.compile(
    r"^Ogg ?: (?:File ended unexpectedly|Last page lacks|Junk after the last page)", re.MULTILINE
)

_XING = re.compile(rb"(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)
"""Length table in an MP3's first frame, up to its number of bytes."""

_RESAMPLING_MARGIN_S = 0.05
"""Audio read beyond the clip's end, so that the resampler's edge is cut off."""


class UnreadableClipError(Exception):
    """An audio file that cannot be used. The text is the reason in quarantine.csv."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A clip in the configured format, and properties of its file."""

    waveform: np.ndarray
    """`[S]`, float32, full scale 1.0."""

    sample_rate_hz: int
    """Sample rate of the file, in Hz; the waveform has the configured rate."""

    duration_s: float
    """Length of the whole file according to its header, in seconds."""

    warning: str = ""


def is_audio(name: str) -> bool:
    """Return whether a file name has an audio ending."""
    return name.lower().endswith(AUDIO_SUFFIXES)


def load_clip(stream: IO[bytes], config: ClipConfig) -> Clip:
    """Decode a clip, mix it to mono, resample it, and pad or cut it to the configured length.

    Only the part that is kept is decoded, so hours of audio cost no more than a clip.

    Args:
        stream: The audio file, open for reading and seekable.
        config: Format of the clip.

    Raises:
        UnreadableClipError: The file is not audio, or it is empty, truncated, corrupt, or has
            samples that are not finite.
    """
    try:
        with soundfile.SoundFile(stream) as file:
            _check_header(file)
            rate = file.samplerate
            num_frames = _num_frames(config, rate)
            samples = file.read(num_frames, dtype="float32", always_2d=True)
            if file.format == "FLAC" and file.frames > num_frames:
                file.seek(file.frames - 1)
                file.read(1)  # raises if the end is missing
    except soundfile.LibsndfileError as error:
        raise UnreadableClipError(f"not readable as audio: {error.error_string}") from error
    if file.format == "MP3":
        _check_mp3_is_whole(stream)
    if samples.shape[0] == 0:
        raise UnreadableClipError("no samples: the file has only a header")
    return Clip(
        waveform=fit_waveform(_mix(samples), rate, config),
        sample_rate_hz=rate,
        duration_s=file.frames / rate,
    )


def fit_waveform(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Resample a mono waveform `[S]` to the configured rate, and pad or cut it to the length."""
    if sample_rate_hz != config.sample_rate_hz:
        kept = waveform[: _num_frames(config, sample_rate_hz)]
        waveform = soxr.resample(kept, sample_rate_hz, config.sample_rate_hz, quality="HQ")
    return fit_length(waveform, config.num_samples)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Pad a waveform `[S]` with silence at the end, or cut it (a view), to `num_samples`."""
    if waveform.shape[0] >= num_samples:
        return waveform[:num_samples]
    padded = np.zeros(num_samples, waveform.dtype)
    padded[: waveform.shape[0]] = waveform
    return padded


def _num_frames(config: ClipConfig, sample_rate_hz: int) -> int:
    """Return how many frames of a file of that rate a clip needs."""
    if sample_rate_hz == config.sample_rate_hz:
        return config.num_samples
    return int((config.duration_s + _RESAMPLING_MARGIN_S) * sample_rate_hz) + 1


def _mix(samples: np.ndarray) -> np.ndarray:
    """Average the channels: `[S, C]` to `[S]`."""
    peak = max(samples.max(), -samples.min())  # NaN survives both
    if not peak <= _MAX_PEAK:
        reason = (
            f"samples up to {peak:.0e}; full scale is 1"
            if np.isfinite(peak)
            else "NaN or infinite samples"
        )
        raise UnreadableClipError(reason)
    num_channels = samples.shape[1]
    if num_channels == 1:
        return samples[:, 0]
    return samples @ np.full(num_channels, 1 / num_channels, np.float32)


def _check_header(file: soundfile.SoundFile) -> None:
    """Reject headers that are impossible or promise more than the file holds."""
    rate = file.samplerate
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        raise UnreadableClipError(f"sample rate {rate} Hz is not between 1 kHz and 768 kHz")
    if file.channels > MAX_CHANNELS:
        raise UnreadableClipError(f"{file.channels} channels; the limit is {MAX_CHANNELS}")
    if file.frames >= _UNKNOWN_FRAMES:
        raise UnreadableClipError(
            "no length in the header, as when written to a pipe: encode the file again"
        )
    log = file.extra_info
    # The audio's size comes last. The size of the whole file is often wrong: it counts only if the
    # log, which is limited to 2 KB, ends before the audio's size.
    expected, actual = next(reversed(_LOGGED_SIZE.findall(log)), ("", ""))
    if actual and int(actual) < int(expected) < _UNKNOWN_BYTES:
        raise _truncated(int(expected), int(actual))
    if _BROKEN_OGG.search(log):
        raise UnreadableClipError("truncated: the last Ogg page is missing or corrupt")


def _check_mp3_is_whole(stream: IO[bytes]) -> None:
    """Compare an MP3's size with the one in its first frame, if any: the decoder does not."""
    num_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    table = _XING.search(stream.read(1 << 18))  # it follows a tag, which may contain a picture
    if table is None:
        return
    expected, actual = int.from_bytes(table[1], "big"), num_bytes - table.start() + 36
    if actual < 0.99 * expected:  # encoders disagree on what to count
        raise _truncated(expected, actual)


def _truncated(expected: int, actual: int) -> UnreadableClipError:
    return UnreadableClipError(
        f"truncated: {actual} bytes of audio, but the header says {expected}"
    )


def encode_wav(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode a waveform `[S]`, full scale 1.0, as a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
