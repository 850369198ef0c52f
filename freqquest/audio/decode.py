"""Decode audio files to mono waveforms of one length, and encode WAV files.

libsndfile decodes what it can, FFmpeg the rest. NumPy, soundfile, soxr and, for FFmpeg, av; no Ray,
no deep-learning framework.
Shapes: S samples, C channels.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TypeVar

import numpy as np
import soundfile
import soxr

from freqquest.audio.clip import ClipConfig
from freqquest.audio.ffmpeg import FFmpegReader, is_installed
from freqquest.audio.file_check import audio_part
from freqquest.audio.file_view import read_at
from freqquest.audio.libsndfile import LibsndfileReader, NotForLibsndfileError
from freqquest.audio.unreadable import UnreadableClipError

__all__ = [
    "AUDIO_SUFFIXES",
    "Clip",
    "UnreadableClipError",
    "duration_s",
    "encode_wav",
    "fit_length",
    "fit_waveform",
    "is_audio",
    "levels",
    "load_clip",
]

AUDIO_SUFFIXES = (
    *(".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff", ".aif", ".au", ".m4a", ".aac", ".wma"),
    *(".wave", ".bwf", ".rf64", ".w64", ".aifc", ".snd", ".caf", ".voc", ".sph"),
    *(".oga", ".spx", ".mp2", ".mpga", ".m4b", ".m4r", ".adts", ".asf", ".amr", ".awb", ".ac3"),
    *(".eac3", ".dts", ".wv", ".ape", ".tta", ".tak", ".mpc", ".ra", ".rm", ".mka"),
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".webm", ".mkv", ".avi", ".wmv", ".flv"),
)
"""File name endings of audio files, and of videos with sound, in any letter case."""

_MAX_PEAK = 1e10
"""Largest sample accepted: far above integer scale in a float file (2^31), and far below the
overflow of a power spectrum in float32.
"""

_RESAMPLING_MARGIN_S = 0.05
"""Audio read beyond both ends of a clip, so that the resampler's edges are cut off."""

_BLOCK_FRAMES = 1 << 18
"""Frames of a file that are in memory at once."""

_SMALL_FILE_BYTES = 1 << 20
"""Size up to which a file is read at once."""

_SILENT = "silent: every sample is equal"

_Reader = LibsndfileReader | FFmpegReader

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
    if not 0 <= start_s < math.inf:
        raise ValueError(f"`start_s={start_s}` must be 0 or more")
    if end_s is not None and not end_s > start_s:
        raise ValueError(f"`end_s={end_s}` must be above `start_s={start_s}`")
    return _decode(stream, lambda reader: _load(reader, config, start_s, end_s))


def duration_s(stream: IO[bytes]) -> float:
    """Return the exact length of an audio file in seconds: from its header, or by counting.

    Raises:
        UnreadableClipError: The file is not audio, empty, truncated or corrupt.
    """
    return _decode(stream, lambda reader: _num_frames(reader) / reader.sample_rate_hz)


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
    return _decode(stream, lambda reader: _levels(reader, step_s))


def fit_waveform(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Resample a mono waveform `[S]` to the configured rate, and pad or cut it to the length."""
    if sample_rate_hz != config.sample_rate_hz:
        last = int((config.duration_s + _RESAMPLING_MARGIN_S) * sample_rate_hz) + 1
        waveform = _resample(waveform[:last], sample_rate_hz, config)
    return fit_length(waveform, config.num_samples)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Pad a waveform `[S]` with silence at the end, or cut it (a view), to `num_samples`."""
    if waveform.shape[0] >= num_samples:
        return waveform[:num_samples]
    padded = np.zeros(num_samples, waveform.dtype)
    padded[: waveform.shape[0]] = waveform
    return padded


def encode_wav(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode a waveform `[S]`, full scale 1.0, as a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _decode(stream: IO[bytes], use: Callable[[_Reader], _Result]) -> _Result:
    """Open a file by libsndfile or else by FFmpeg, and return what is made of it."""
    size = stream.seek(0, io.SEEK_END)
    if size <= _SMALL_FILE_BYTES:
        stream = io.BytesIO(read_at(stream, 0, size))  # decoders seek a hundred times
    audio = audio_part(stream)
    audio.seek(0)
    try:
        with LibsndfileReader(audio) as reader:
            return use(reader)
    except NotForLibsndfileError as error:
        if not is_installed():
            raise UnreadableClipError(
                f"not readable as audio: {error}. Other formats need the package `av`: "
                "pip install av"
            ) from error
    with FFmpegReader(audio) as reader:
        return use(reader)


def _num_frames(reader: _Reader) -> int:
    num_frames = reader.num_frames()
    if num_frames == 0:
        raise UnreadableClipError("no samples: the file has only a header")
    return num_frames


def _load(reader: _Reader, config: ClipConfig, start_s: float, end_s: float | None) -> Clip:
    rate, new_rate = reader.sample_rate_hz, config.sample_rate_hz
    stop_s = min(start_s + config.duration_s, end_s or math.inf)
    margin_s = 0.0 if rate == new_rate else _RESAMPLING_MARGIN_S
    # Both grids of samples meet every `period` frames of the file.
    period = rate // math.gcd(rate, new_rate)
    first = max(0, round((start_s - margin_s) * rate)) // period * period
    if rate == new_rate:
        last = first + round((stop_s - start_s) * rate)
    else:
        last = int((stop_s + margin_s) * rate) + 1
    samples = reader.read(first, last - first)
    num_frames = _num_frames(reader)
    if start_s * rate >= num_frames or samples.shape[0] == 0:
        raise UnreadableClipError(
            f"the clip starts at {start_s:g} s, but the file ends at {num_frames / rate:g} s"
        )
    mono = _mix(samples)
    waveform = mono if rate == new_rate else _resample(mono, rate, config)
    skipped = round(start_s * new_rate) - first * new_rate // rate
    num_kept = min(config.num_samples, round((stop_s - start_s) * new_rate))
    return Clip(
        waveform=fit_length(waveform[skipped : skipped + num_kept], config.num_samples),
        sample_rate_hz=rate,
        duration_s=num_frames / rate,
        warning=_warning(samples, mono),
    )


def _levels(reader: _Reader, step_s: float) -> np.ndarray:
    step_frames = step_s * reader.sample_rate_hz
    if step_frames < 1:
        raise ValueError(
            f"`step_s={step_s}` must be at least a sample, 1 / {reader.sample_rate_hz} s"
        )
    num_read = 0
    parts: list[tuple[int, np.ndarray, np.ndarray]] = []  # first step, sums, numbers of frames
    for block in reader.blocks(_BLOCK_FRAMES):
        steps = ((num_read + np.arange(block.shape[0])) / step_frames).astype(np.int64)
        power = np.square(_mix(block), dtype=np.float64)
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


def _resample(waveform: np.ndarray, sample_rate_hz: int, config: ClipConfig) -> np.ndarray:
    resampled: np.ndarray = soxr.resample(
        waveform, sample_rate_hz, config.sample_rate_hz, quality="HQ"
    )
    return resampled


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


def _warning(samples: np.ndarray, mono: np.ndarray) -> str:
    """Return a warning of silence, or of channels that cancel when they are mixed."""
    # Two samples tell most sounds from silence, in no time.
    if mono[0] == mono[-1] and (samples == samples[0]).all():
        return _SILENT
    num_channels = samples.shape[1]
    if num_channels == 1:
        return ""
    loudest, mixed = samples.var(axis=0).max(), mono.var()
    # A channel alone, the others silent, is 1 / C as loud in the mix.
    if mixed >= loudest / (10 * num_channels**2):
        return ""
    difference_db = 10 * math.log10(loudest / max(mixed, loudest * 1e-10))
    return f"its channels cancel: the mix is {difference_db:.0f} dB quieter than the louder channel"
