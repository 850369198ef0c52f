"""Read audio files as mono waveforms of one length, and write WAV files.

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
"""File name endings that count as audio, in any letter case."""


MAX_CHANNELS = 32
"""More than a microphone array has. With the highest rate this bounds a clip's memory to some 400 MB."""

_MAX_PEAK = 1e10
"""Far above float files with integers' scale (2^31), and far below where a power spectrum overflows float32."""

_UNKNOWN_BYTES = 0x7FFF0000
"""Programs that write to a pipe cannot know the length, and put a number from here to 2^32 - 1 in its place."""

_UNKNOWN_FRAMES = 2**62
"""libsndfile gives 2^63 - 1 frames where a FLAC header leaves the length open."""

_LOGGED_SIZE = re.compile(
    r"^ *(?:RIFF|RIFX|FORM|Riff size|data|SSND|Data Size) *: (\d+)\b(?: \(should be (\d+)\))?",
    re.MULTILINE,
)
"""What libsndfile logs of WAV, AIFF, AU and RF64 files: bytes that the header tells, and those there if not as many."""

_BROKEN_OGG = re.compile(
    r"^Ogg ?: (?:File ended unexpectedly|Last page lacks|Junk after the last page)", re.MULTILINE
)

_XING = re.compile(rb"(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)
"""The length table that encoders put into an MP3's first frame, up to its count of bytes."""

_RESAMPLING_MARGIN_S = 0.05
"""Read past the clip's end, so that the resampler's edge falls outside of what is kept."""


class UnreadableClipError(Exception):
    """An audio file that cannot be used; the text is the reason, for the quarantine list."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A clip in the configured form, and what its file was like."""

    waveform: np.ndarray
    """`[S]`, float32, full scale 1.0."""

    sample_rate_hz: int
    """Sample rate of the file, in Hz; the waveform has the configured one."""

    duration_s: float
    """Length of the whole file by its header, in seconds."""


def is_audio(name: str) -> bool:
    """Whether a file's name has an audio ending."""
    return name.lower().endswith(AUDIO_SUFFIXES)


def load_clip(stream: IO[bytes], config: ClipConfig) -> Clip:
    """Decode, mix to mono, resample, and bring to the configured length.

    Only the part that is kept gets decoded, so hours of audio cost no more than a clip.

    Args:
        stream: The audio file, opened for reading and seekable.
        config: The form wanted.

    Raises:
        UnreadableClipError: Not audio, empty, truncated, damaged, or with values that are not finite.
    """
    try:
        with soundfile.SoundFile(stream) as file:
            _check_header(file)
            rate = file.samplerate
            num_frames = _num_frames(config, rate)
            samples = file.read(num_frames, dtype="float32", always_2d=True)
            if file.format == "FLAC" and file.frames > num_frames:
                file.seek(file.frames - 1)
                file.read(1)  # raises where the end is missing
    except soundfile.LibsndfileError as error:
        raise UnreadableClipError(f"not readable as audio: {error.error_string}") from error
    if file.format == "MP3":
        _check_mp3_is_whole(stream)
    if samples.shape[0] == 0:
        raise UnreadableClipError("no samples: the file holds a header and no sound")
    return Clip(
        waveform=fit_waveform(_mix(samples), rate, config),
        sample_rate_hz=rate,
        duration_s=file.frames / rate,
    )


def fit_waveform(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Resample a mono waveform `[S]` to the configured rate, and bring it to the configured length."""
    if sample_rate_hz != config.sample_rate_hz:
        used = waveform[: _num_frames(config, sample_rate_hz)]
        waveform = soxr.resample(used, sample_rate_hz, config.sample_rate_hz, quality="HQ")
    return fit_length(waveform, config.num_samples)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Pad a waveform `[S]` with silence at its end, or cut it, to `num_samples`; where it fits, no copy is made."""
    if waveform.shape[0] >= num_samples:
        return waveform[:num_samples]
    padded = np.zeros(num_samples, waveform.dtype)
    padded[: waveform.shape[0]] = waveform
    return padded


def _num_frames(config: ClipConfig, sample_rate_hz: int) -> int:
    """How much of a file of that rate a clip is made from."""
    if sample_rate_hz == config.sample_rate_hz:
        return config.num_samples
    return int((config.duration_s + _RESAMPLING_MARGIN_S) * sample_rate_hz) + 1


def _mix(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels: `[S, C]` to `[S]`."""
    peak = max(samples.max(), -samples.min())  # NaN goes through both
    if not peak <= _MAX_PEAK:
        reason = (
            f"samples up to {peak:.0e}, where full scale is 1"
            if np.isfinite(peak)
            else "NaN or infinite samples"
        )
        raise UnreadableClipError(reason)
    num_channels = samples.shape[1]
    if num_channels == 1:
        return samples[:, 0]
    return samples @ np.full(num_channels, 1 / num_channels, np.float32)


def _check_header(file: soundfile.SoundFile) -> None:
    """Refuse impossible headers, and those that promise more than the file holds."""
    rate = file.samplerate
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        raise UnreadableClipError(f"sample rate {rate} Hz, outside 1 kHz to 768 kHz")
    if file.channels > MAX_CHANNELS:
        raise UnreadableClipError(f"{file.channels} channels, more than {MAX_CHANNELS}")
    if file.frames >= _UNKNOWN_FRAMES:
        raise UnreadableClipError(
            "no length in the header, as programs that write to a pipe leave it"
        )
    log = file.extra_info
    # The audio's size comes last. The whole file's is often wrong: it counts only where the log, of 2 KB, ends before.
    said, there = next(reversed(_LOGGED_SIZE.findall(log)), ("", ""))
    if there and int(there) < int(said) < _UNKNOWN_BYTES:
        raise UnreadableClipError(f"truncated: the header tells {said} bytes, {there} are there")
    if _BROKEN_OGG.search(log):
        raise UnreadableClipError("truncated: the last Ogg page is missing or damaged")


def _check_mp3_is_whole(stream: IO[bytes]) -> None:
    """Compare an MP3's length with the one in its first frame, if it has one (the decoder does not)."""
    num_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    table = _XING.search(stream.read(1 << 18))  # behind a tag, which may hold a picture
    if table is None:
        return
    said, there = int.from_bytes(table[1], "big"), num_bytes - table.start() + 36
    if there < 0.99 * said:  # encoders do not agree on what to count
        raise UnreadableClipError(f"truncated: the header tells {said} bytes, {there} are there")


def encode_wav(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """A waveform `[S]`, full scale 1.0, as the bytes of a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
