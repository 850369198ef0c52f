"""Audio files of every format that FFmpeg encodes."""

import io
from fractions import Fraction

import av
import numpy as np

FORMATS = {
    "m4a": ("ipod", "aac", 44_100),
    "mp4": ("mp4", "aac", 44_100),
    "aac": ("adts", "aac", 44_100),
    "mka": ("matroska", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "opus": ("ogg", "libopus", 48_000),
    "oga": ("ogg", "flac", 44_100),
    "wma": ("asf", "wmav2", 44_100),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "caf": ("caf", "alac", 44_100),
    "m4a alac": ("ipod", "alac", 44_100),
    "bare mp3": ("mp3", "libmp3lame", 44_100),
    "mp2": ("mp2", "mp2", 44_100),
    "ac3": ("ac3", "ac3", 44_100),
    "wv": ("wv", "wavpack", 44_100),
    "tta": ("tta", "tta", 44_100),
    "avi": ("avi", "pcm_s16le", 44_100),
    "mov": ("mov", "pcm_s16be", 44_100),
    "flv": ("flv", "aac", 44_100),
    "g722": ("wav", "g722", 16_000),
}
"""Container, codec and sample rate by a name for them."""

DELAYED_S = {"aac": 0.04, "flv": 0.04, "mka": 0.02, "amr": 0.02, "3gp": 0.01, "mp2": 0.03}
DELAYED_S |= {"ac3": 0.04, "bare mp3": 0.06, "wma": 0.05, "g722": 0.002, "caf": 0.1}
"""Most seconds by which FFmpeg's sound is delayed or its length wrong, because the file does
not say more. (It drops the end of ALAC in CAF.)
"""

INEXACT = dict.fromkeys(("m4a", "mp4", "aac", "mka", "flv", "ac3"), 2e-5) | {"mp2": 6e-5}
"""Largest difference between a tone in a part of a file and in the whole: noise that decoders fill
in, and the rounding of MP2.
"""

_OPTIONS = {
    "bare mp3": {"container_options": {"write_xing": "0"}},
    "wma": {"bit_rate": 128_000},
}


def encode(name: str, samples: np.ndarray) -> bytes:
    """Encode mono samples `[S]` in one of the formats."""
    container, codec, rate = FORMATS[name]
    return encode_as(container, codec, rate, samples, **_OPTIONS.get(name, {}))


def encode_as(
    container: str,
    codec: str,
    rate: int,
    samples: np.ndarray,
    *,
    container_options: dict[str, str] | None = None,
    **options: object,
) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono", **options)
        context = stream.codec_context
        context.open()
        resampler = av.AudioResampler(format=context.format, layout="mono", rate=rate)
        size = context.frame_size or 1_024
        for start in range(0, len(samples), size):
            block = np.ascontiguousarray(samples[None, start : start + size], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def sound(rate: int, duration_s: float) -> np.ndarray:
    """Return a tone that changes all the time, so that no part is like another."""
    time_s = np.arange(round(rate * duration_s)) / rate
    return (0.4 * np.sin(2 * np.pi * (300 + 20 * time_s) * time_s)).astype(np.float32)
