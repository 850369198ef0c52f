"""The spectrograms of one view of a shard, collected clip by clip as float16. NumPy and pyarrow.

Shapes: N clips, S samples, M mel bands, T frames.
"""

import numpy as np
import pyarrow as pa

from freqquest.audio.spectrogram import SpectrogramConfig, log_mel

_SMALLEST_NORMAL = 2.0**-14
"""Smallest float16 of full precision. Below, the spacing is that of float32 from 0.5 to 1."""


class CollectedView:
    """The spectrograms of one view.

    Example:
        view = CollectedView(CNN_VIEW, sample_rate_hz=22_050, num_clips=64)
        view.add(waveform)
        column = view.to_arrow()
    """

    def __init__(self, settings: SpectrogramConfig, sample_rate_hz: int, num_clips: int) -> None:
        """Reserve memory for a number of clips."""
        self._settings, self._sample_rate_hz = settings, sample_rate_hz
        self._filled = 0
        self._spectrograms = np.empty(
            (num_clips, settings.num_mels, settings.num_frames), np.float16
        )
        self.moments = np.zeros((3, settings.num_mels))
        """Count, sum and sum of squares by mel band, before the rounding to float16."""

    def add(self, waveform: np.ndarray) -> None:
        """Compute and keep the spectrogram of a waveform `[S]`."""
        spectrogram = log_mel(waveform, self._settings, self._sample_rate_hz)
        self.moments += [
            np.full(len(spectrogram), spectrogram.shape[1]),
            spectrogram.sum(axis=1),
            np.square(spectrogram).sum(axis=1),
        ]
        if self._settings.compression == "log1p":
            # NumPy takes ten times as long to convert small values that are not yet rounded.
            small = spectrogram < _SMALLEST_NORMAL
            np.copyto(spectrogram, (spectrogram + 0.5) - 0.5, where=small)
        self._spectrograms[self._filled] = spectrogram
        self._filled += 1

    def to_arrow(self) -> pa.FixedShapeTensorArray:
        """Return the column of spectrograms, `[M, T]` each."""
        return pa.FixedShapeTensorArray.from_numpy_ndarray(self._spectrograms[: self._filled])
