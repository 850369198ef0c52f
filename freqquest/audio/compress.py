"""Compressed sounds that every common browser plays. libsndfile and soxr; no Ray.

Shapes: S samples.
"""

import io

import numpy as np
import soundfile
import soxr

_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Sample rates that MP3 has (ISO 11172-3 and 13818-3)."""

_COMPRESSION = 0.5
"""Of 0 (best) to 1 (smallest): 36 kbit/s for white noise at 22,050 Hz, less for other sounds."""


def encode_mp3(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode a waveform `[S]` as an MP3 file with a variable bit rate.

    A sample rate that MP3 lacks is raised to the next one, or lowered to 48 kHz. A sound beyond
    full scale is scaled down to it, and samples that are not finite become 0, because LAME ends the
    process otherwise.
    """
    waveform = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    rate_hz = next((rate for rate in _MP3_RATES_HZ if rate >= sample_rate_hz), _MP3_RATES_HZ[-1])
    if rate_hz != sample_rate_hz:
        waveform = soxr.resample(waveform, sample_rate_hz, rate_hz)
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        waveform / max(1.0, np.abs(waveform).max(initial=0.0)),
        rate_hz,
        format="MP3",
        compression_level=_COMPRESSION,
        bitrate_mode="VARIABLE",
    )
    return buffer.getvalue()
