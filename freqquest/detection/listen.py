"""One unit of a recording: class probabilities of its windows, and properties of its frames.

No Ray; Keras comes with the model. Shapes: N windows, K classes, S samples, M mel bands, F frames,
C columns, H bands of a picture.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.overlapping import frame_power, window_log_mels
from freqquest.audio.waveform import fit_length
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.dataset.load_clip import AudioFile, open_waveforms
from freqquest.detection import frames as of_frames
from freqquest.detection.grid import Grid

_SPECTROGRAM_VALUES = 64 * 128 * 173
"""Most values of the spectrograms that are in memory together: 64 windows of 4 seconds."""

Predict = Callable[[Inputs], np.ndarray]
"""Function from the inputs of windows to class probabilities `[N, K]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Consecutive units of a recording."""

    probabilities: np.ndarray
    """`[N, K]`, float32."""
    levels: np.ndarray
    """Level of each frame in dB relative to full scale, `[F]`, float16."""
    changes: np.ndarray
    """Change of sound at each frame in dB, `[F]`, float16."""
    first_column: int
    """Number of the first column of the picture."""
    columns: np.ndarray
    """Columns of the picture in dB, `[H, C]`, float16."""


def listen(
    file: AudioFile,
    duration_s: float,
    units: range,
    grid: Grid,
    predict: Predict,
    analysis: Analysis,
) -> Iterator[Heard]:
    """Yield each of some units of a recording; one is in memory at a time.

    Args:
        file: The recording.
        duration_s: Length of the file.
        units: Numbers of the units.
        grid: Windows and frames.
        predict: The model.
        analysis: The analysis of its inputs, for the vectors of windows.

    Raises:
        UnreadableClipError: The file is corrupt, missing or not permitted.
        OSError: The storage fails, which says nothing about the file.
    """
    margin = _margin(grid)
    begins = [max(0, grid.unit_frames(unit, duration_s).start - margin) for unit in units]
    num_frames = grid.frames_per_unit + 2 * margin
    length_s = num_frames * grid.frame_s
    part = ClipConfig(sample_rate_hz=grid.clip.sample_rate_hz, duration_s=length_s)
    waveforms = open_waveforms(file, part, [begin * grid.frame_s for begin in begins])
    for unit, begin, waveform in zip(units, begins, waveforms, strict=True):
        yield _hear(waveform, begin, unit, duration_s, grid, predict, analysis)


def _margin(grid: Grid) -> int:
    """Return the frames that are read beyond both ends of a unit.

    They are compared with its frames, and need samples of half a window beyond themselves.
    """
    half = math.ceil(grid.view.n_fft / grid.view.hop_length)
    return of_frames.context_frames(grid.frame_s) + half


def _hear(
    waveform: np.ndarray,
    begin: int,
    unit: int,
    duration_s: float,
    grid: Grid,
    predict: Predict,
    analysis: Analysis,
) -> Heard:
    """Return a unit, given the waveform `[S]` that begins at a frame of the recording."""
    view, rate, num_frames = grid.view, grid.clip.sample_rate_hz, grid.num_frames(duration_s)
    windows = grid.unit_windows(unit, grid.num_windows(duration_s))
    starts = grid.starts(windows.start, windows.stop) - begin
    context = of_frames.context_frames(grid.frame_s)
    own = grid.unit_frames(unit, duration_s)
    # A recording's last unit needs less than is read for the others.
    last = max(starts[-1] + grid.window_frames, own.stop - begin + _margin(grid))
    waveform = waveform[: last * view.hop_length]
    power = frame_power(waveform, view, rate)
    step = max(1, _SPECTROGRAM_VALUES // (view.num_mels * view.num_frames))
    length = grid.clip.num_samples
    probabilities = []
    for some in np.split(starts, range(step, len(starts), step)):
        spectrograms = window_log_mels(waveform, power, some, length, view, rate)
        alone = [fit_length(waveform[start:], length) for start in some * view.hop_length]
        probabilities.append(predict(Inputs(spectrograms, analysis.vectors(alone))))
    frames = range(own.start - begin, own.stop - begin)
    known = power[:, : num_frames - begin]
    per_column = of_frames.frames_per_column(num_frames, grid.frame_s)
    picture = of_frames.columns(known[:, frames.start : frames.stop], own.start, per_column)
    return Heard(
        probabilities=np.concatenate(probabilities),
        levels=of_frames.levels(waveform, frames, view.hop_length, view.n_fft).astype(np.float16),
        changes=of_frames.changes(known, frames, context).astype(np.float16),
        first_column=own.start // per_column,
        columns=picture.astype(np.float16),
    )
