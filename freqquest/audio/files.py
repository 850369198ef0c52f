"""Read audio files as mono waveforms of one length, and write WAV files.

NumPy, soundfile and soxr; no Ray, no deep-learning framework.
Shapes: S samples, C channels.
"""

import io
from dataclasses import dataclass
from typing import IO

import numpy as np
import soundfile
import soxr

AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff", ".aif", ".au")
"""File name endings that count as audio, in any letter case."""

MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 1_000, 768_000
"""Rates outside of this are damaged headers, not audio."""

_RESAMPLING_MARGIN_S = 0.05
"""Read past the clip's end, so that the resampler's edge falls outside of what is kept."""


class UnreadableClipError(Exception):
    """An audio file that cannot be used; the text is the reason, for the quarantine list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """The one form that every clip is brought into: mono, one rate, one length."""

    sample_rate_hz: int = 22_050
    """Sample rate of the waveforms, in Hz."""

    duration_s: float = 4.0
    """Length of every clip, in seconds: shorter files are padded with silence, longer ones cut."""

    def __post_init__(self) -> None:
        if not MIN_SAMPLE_RATE_HZ <= self.sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
            raise ValueError(
                f"sample_rate_hz={self.sample_rate_hz} must be between {MIN_SAMPLE_RATE_HZ} and {MAX_SAMPLE_RATE_HZ}"
            )
        if not 0 < self.duration_s <= 600:
            raise ValueError(f"duration_s={self.duration_s} must be above 0 and at most 600 seconds")

    @property
    def num_samples(self) -> int:
        """Samples in a clip."""
        return round(self.sample_rate_hz * self.duration_s)


def is_audio(name: str) -> bool:
    """Whether a file's name has an audio ending."""
    return name.lower().endswith(AUDIO_SUFFIXES)


def load_clip(stream: IO[bytes], config: ClipConfig) -> np.ndarray:
    """Decode, mix to mono, resample, and bring to the configured length.

    Only the part that is kept gets decoded, so hours of audio cost no more than a clip.

    Args:
        stream: The audio file, opened for reading and seekable.
        config: The form wanted.

    Returns:
        Waveform `[S]`, float32, full scale 1.0.

    Raises:
        UnreadableClipError: Not audio, empty, damaged, or with values that are not finite.
    """
    try:
        with soundfile.SoundFile(stream) as file:
            rate = file.samplerate
            if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
                raise UnreadableClipError(f"sample rate {rate} Hz, outside 1 kHz to 768 kHz")
            num_frames = int((config.duration_s + _RESAMPLING_MARGIN_S) * rate) + 1
            samples = file.read(num_frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnreadableClipError(f"not readable as audio: {error.error_string}") from error
    if samples.shape[0] == 0:
        raise UnreadableClipError("no samples: the file holds a header and no sound")
    if not np.isfinite(samples).all():
        raise UnreadableClipError("NaN or infinite samples")
    mono = samples.mean(axis=1)
    if rate != config.sample_rate_hz:
        mono = soxr.resample(mono, rate, config.sample_rate_hz, quality="HQ")
    return fit_length(mono, config.num_samples)


def fit_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    """Pad a waveform `[S]` with silence at its end, or cut it, to `num_samples`."""
    kept = waveform[:num_samples]
    return np.pad(kept, (0, num_samples - kept.shape[0]))


def encode_wav(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """A waveform `[S]`, full scale 1.0, as the bytes of a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
