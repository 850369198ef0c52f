"""The spectrograms of one view of a shard, collected clip by clip as float16. NumPy and pyarrow.

Frames behind the clips, which the recipe's generator learns as zeros, are not stored.
Shapes: N clips, S samples, M mel bands, T frames that a clip fills.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel

_SMALLEST_NORMAL = 2.0**-14
"""Smallest float16 of full precision. Below, the spacing is that of float32 from 0.5 to 1."""


class CollectedView:
    """The spectrograms of one view.

    Example:
        view = CollectedView(CNN_VIEW, ClipConfig(), num_clips=64)
        view.add(waveform)
        column = view.to_arrow()
    """

    def __init__(self, settings: SpectrogramConfig, clip: ClipConfig, num_clips: int) -> None:
        """Reserve memory for a number of clips."""
        num_frames = settings.filled_frames(clip.num_samples)
        self._settings = replace(settings, num_frames=num_frames)
        self._sample_rate_hz, self._filled = clip.sample_rate_hz, 0
        self._spectrograms = np.empty((num_clips, settings.num_mels, num_frames), np.float16)
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
