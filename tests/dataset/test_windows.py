import numpy as np
import pytest

from freqquest.dataset.windows import WindowConfig, window_starts

ALL = WindowConfig(kind="all", hop_s=4.0)


@pytest.mark.parametrize(
    ("begin_s", "end_s", "starts"),
    [
        (0.0, 12.0, [0, 4, 8]),
        (0.0, 10.1, [0, 4, 6.1]),  # the last window ends with the sound
        (0.0, 8.005, [0, 4]),  # a rest of a few milliseconds is no sound
        (0.0, 4.0, [0]),
        (0.0, 1.5, [0]),
        (7.25, 16.25, [7.25, 11.25, 12.25]),
    ],
)
def test_windows_cover_the_whole_sound_and_the_last_one_ends_with_it(begin_s, end_s, starts):
    assert window_starts(ALL, 4.0, begin_s, end_s) == starts


def test_the_first_window_begins_with_the_sound():
    assert window_starts(WindowConfig(), 4.0, 3.0, 60.0) == [3.0]


def test_windows_overlap_if_the_hop_is_shorter_than_they_are():
    config = WindowConfig(kind="all", hop_s=1.5)
    assert window_starts(config, 4.0, 0.0, 8.0) == [0.0, 1.5, 3.0, 4.0]


def test_a_limit_spreads_the_windows_over_the_sound():
    config = WindowConfig(kind="all", hop_s=4.0, max_per_file=3)
    assert window_starts(config, 4.0, 0.0, 44.0) == [0.0, 20.0, 40.0]
    assert window_starts(config, 4.0, 0.0, 8.0) == [0.0, 4.0]


def test_the_loudest_windows_do_not_overlap():
    levels = np.full(60, 0.01)  # one second each
    levels[[21, 23, 50]] = 1.0, 0.9, 0.5
    one = WindowConfig(kind="loudest", hop_s=1.0, max_per_file=1)
    two = WindowConfig(kind="loudest", hop_s=1.0, max_per_file=2)
    assert window_starts(one, 4.0, 0.0, 60.0, levels) == [20.0]
    first, second = window_starts(two, 4.0, 0.0, 60.0, levels)
    assert first == 20.0
    assert 46.0 < second <= 50.0


def test_the_loudest_window_of_an_annotated_sound_lies_inside_it():
    levels = np.full(60, 0.01)
    levels[[5, 33]] = 1.0, 0.5
    config = WindowConfig(kind="loudest", hop_s=1.0, max_per_file=1)
    (start,) = window_starts(config, 4.0, 30.5, 40.5, levels)
    assert 30.5 <= start <= 33.0


def test_starts_are_whole_milliseconds():
    starts = window_starts(WindowConfig(kind="all", hop_s=1 / 3), 1.0, 0.0, 3.0)
    assert starts == [0.0, 0.333, 0.667, 1.0, 1.333, 1.667, 2.0]


def test_a_start_is_before_the_end_however_short_the_sound():
    assert window_starts(ALL, 4.0, 10.0006, 10.0019) == [10.0]
