"""Clips for the report: compressed sounds and small pictures, as tables in a run folder. No Ray.

Shapes: S samples, M mel bands, T frames.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest import plots
from freqquest.audio.compress import encode_mp3
from freqquest.runs.tables import name_damaged
from freqquest.storage import Location

_MAX_WIDTH, _MAX_HEIGHT = 320, 128
"""Largest size of a picture, in pixels; one of 4 seconds has about 4 KB."""


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
    """Return the rows of such a table; none if there is no file, as in runs of older versions.

    Raises:
        UserError: The file is damaged.
    """
    if not file.is_file():
        return []
    content = pa.BufferReader(file.read_bytes())
    with name_damaged(file):
        rows: list[dict[str, Any]] = pq.read_table(content).to_pylist()
    return rows


def _encode_picture(spectrogram: np.ndarray) -> bytes:
    values = spectrogram.astype(np.float32)
    for axis, most in enumerate((_MAX_HEIGHT, _MAX_WIDTH)):
        values = _shrink(values, axis, most)
    return plots.webp(plots.spectrogram_image(values))


def _shrink(values: np.ndarray, axis: int, most: int) -> np.ndarray:
    """Return means of neighboring values, at most so many."""
    size = values.shape[axis]
    edges = np.linspace(0, size, min(size, most) + 1).astype(int)
    sums = np.add.reduceat(values, edges[:-1], axis=axis)
    return np.asarray(sums / np.expand_dims(np.diff(edges), 1 - axis))
