"""Clips for the report: compressed sounds and small pictures, as tables in a run folder. No Ray.

Shapes: S samples, M mel bands, T frames.
"""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from freqquest import plots
from freqquest.audio.compress import encode_mp3
from freqquest.storage import Location

_MAX_WIDTH, _MAX_HEIGHT = 320, 128
"""Largest size of a picture, in pixels."""

_PICTURE_QUALITY = 60
"""Of 0 to 100: a picture of 4 seconds has about 4 KB."""


def encode_clip(
    waveform: np.ndarray | None, sample_rate_hz: int, spectrogram: np.ndarray | None
) -> dict[str, bytes | None]:
    """Return the cells of a clip: its `sound`, an MP3 file, and its `picture`, a WebP file.

    Args:
        waveform: `[S]`; None if it is not available.
        sample_rate_hz: Sample rate of the waveform.
        spectrogram: `[M, T]`, low bands first; None if it is not available.
    """
    return {
        "sound": None if waveform is None else encode_mp3(waveform, sample_rate_hz),
        "picture": None if spectrogram is None else _encode_picture(spectrogram),
    }


def write_clips(rows: list[dict[str, Any]], file: Location) -> None:
    """Write a table of clips as a Parquet file; each row has the same keys."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="none")
    file.write_bytes(memoryview(sink.getvalue()))


def read_clips(file: Location) -> list[dict[str, Any]]:
    """Return the rows of such a table; none if there is no file, as in runs of older versions."""
    if not file.is_file():
        return []
    rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(file.read_bytes())).to_pylist()
    return rows


def _encode_picture(spectrogram: np.ndarray) -> bytes:
    picture = Image.fromarray(plots.spectrogram_image(spectrogram.astype(np.float32)))
    size = (min(picture.width, _MAX_WIDTH), min(picture.height, _MAX_HEIGHT))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BOX).save(buffer, "WEBP", quality=_PICTURE_QUALITY)
    return buffer.getvalue()
