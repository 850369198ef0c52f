"""The grid of frames of a recording, the windows on it, and the units that they are computed in.

NumPy only. A unit is always computed in the same way, whichever task does it: results do not depend
on how a recording is divided. Shapes: N windows.
"""

import math
from dataclasses import dataclass

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig

_LEAST_WINDOWS, _LEAST_S = 64, 60.0
"""Least windows of a unit, and its least length: few short units would share little."""

_MOST_S, _MOST_SAMPLES = 590.0, 2**24
"""Largest length of a unit with its windows, and its most samples: 64 MiB."""

_SHORTEST_REST_S = 0.01
"""Shortest rest of a recording that gets a window of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Windows and frames of all recordings that a model listens to."""

    clip: ClipConfig
    """Sample rate, and length of a window."""
    view: SpectrogramConfig
    """Settings of the spectrograms."""
    hop_s: float
    """Step between the starts of two windows, which are rounded to frames."""

    def __post_init__(self) -> None:
        if self.clip.duration_s > _MOST_S:
            raise ValueError(
                f"the model's clips of {self.clip.duration_s:g} s are too long for windows: at "
                f"most {_MOST_S:g} s"
            )

    @property
    def frame_s(self) -> float:
        """Step between two frames, in seconds."""
        return self.view.hop_length / self.clip.sample_rate_hz

    @property
    def window_frames(self) -> int:
        """Length of a window in frames, rounded up."""
        return math.ceil(self.clip.num_samples / self.view.hop_length)

    @property
    def windows_per_unit(self) -> int:
        """Windows of each unit but the last one."""
        wanted = max(_LEAST_WINDOWS, math.ceil(_LEAST_S / self.hop_s))
        most_s = min(_MOST_S, _MOST_SAMPLES / self.clip.sample_rate_hz)
        most = int((most_s - self.clip.duration_s) / self.hop_s)
        return max(1, min(wanted, most))

    @property
    def frames_per_unit(self) -> int:
        """Frames that cover the windows of any unit, and the steps to the next one."""
        length_s = max(self.hop_s, self.clip.duration_s) + (self.windows_per_unit - 1) * self.hop_s
        return math.ceil(length_s / self.frame_s) + 2

    def num_windows(self, duration_s: float) -> int:
        """Return the number of windows of a recording; the last one may end in padding."""
        beyond_first_s = duration_s - self.clip.duration_s - _SHORTEST_REST_S
        return 1 + max(0, math.ceil(beyond_first_s / self.hop_s))

    def num_units(self, duration_s: float) -> int:
        """Return the number of units of a recording."""
        return math.ceil(self.num_windows(duration_s) / self.windows_per_unit)

    def num_frames(self, duration_s: float) -> int:
        """Return the number of frames whose centers are in a recording."""
        return 1 + int(duration_s / self.frame_s)

    def starts(self, first: int, stop: int) -> np.ndarray:
        """Return the starts `[N]` of windows with these numbers, in frames."""
        starts: np.ndarray = np.round(np.arange(first, stop) * (self.hop_s / self.frame_s))
        return starts.astype(np.int64)

    def unit_windows(self, unit: int, num_windows: int) -> range:
        """Return the numbers of the windows of a unit, given those of the recording."""
        first = unit * self.windows_per_unit
        return range(first, min(first + self.windows_per_unit, num_windows))

    def unit_frames(self, unit: int, duration_s: float) -> range:
        """Return the numbers of the frames that belong to a unit; every frame belongs to one."""
        num_windows, num_frames = self.num_windows(duration_s), self.num_frames(duration_s)
        windows = self.unit_windows(unit, num_windows)
        first, stop = self.starts(windows.start, windows.stop + 1)[[0, -1]].tolist()
        return range(first, num_frames if windows.stop == num_windows else stop)

    def seconds(self, units: range, duration_s: float) -> float:
        """Return the length of the frames that belong to some units of a recording."""
        first = self.unit_frames(units.start, duration_s)
        last = self.unit_frames(units.stop - 1, duration_s)
        return (last.stop - first.start) * self.frame_s
