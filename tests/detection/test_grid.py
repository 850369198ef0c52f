import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.detection.grid import Grid


def make_grid(hop_s=1.0, duration_s=4.0):
    return Grid(clip=ClipConfig(duration_s=duration_s), view=CNN_VIEW, hop_s=hop_s)


def test_window_starts_round_to_frames_without_drift():
    starts = make_grid().starts(0, 10_000)
    assert np.abs(starts * 512 / 22_050 - np.arange(10_000)).max() < 256.001 / 22_050


@pytest.mark.parametrize(
    ("duration_s", "count"), [(0.1, 1), (4.0, 1), (4.005, 1), (4.5, 2), (5.0, 2), (63.0, 60)]
)
def test_windows_cover_a_recording_and_the_last_one_may_end_after_it(duration_s, count):
    assert make_grid().num_windows(duration_s) == count


@pytest.mark.parametrize("hop_s", [0.01, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("duration_s", [0.5, 59.0, 700.0])
def test_each_window_and_each_frame_belongs_to_one_unit(duration_s, hop_s):
    grid = make_grid(hop_s)
    num_windows, units = grid.num_windows(duration_s), range(grid.num_units(duration_s))
    windows = [number for unit in units for number in grid.unit_windows(unit, num_windows)]
    assert windows == list(range(num_windows))
    frames = [number for unit in units for number in grid.unit_frames(unit, duration_s)]
    assert frames == list(range(grid.num_frames(duration_s)))
    assert grid.seconds(units, duration_s) == pytest.approx(duration_s, abs=2 * grid.frame_s)


@pytest.mark.parametrize("hop_s", [0.01, 1.0, 7.0])
@pytest.mark.parametrize("duration_s", [0.05, 4.0, 500.0])
def test_a_units_windows_and_frames_fit_what_is_read_for_it(duration_s, hop_s):
    grid, length_s = make_grid(hop_s, duration_s), 10_000.0
    for unit in (0, 1, grid.num_units(length_s) - 1):
        frames = grid.unit_frames(unit, length_s)
        windows = grid.unit_windows(unit, grid.num_windows(length_s))
        end = grid.starts(windows.stop - 1, windows.stop)[0] + grid.window_frames
        assert max(end, frames.stop) - frames.start <= grid.frames_per_unit
    assert grid.frames_per_unit * grid.frame_s < 600


def test_clips_that_are_too_long_for_windows_are_refused():
    with pytest.raises(ValueError, match="clips of 600 s are too long for windows: at most 590 s"):
        make_grid(duration_s=600.0)
