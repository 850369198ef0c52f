import numpy as np
import pytest

from freqquest.audio.overlapping import frame_power
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.detection.frames import (
    MAX_COLUMNS,
    changes,
    columns,
    context_frames,
    frames_per_column,
    levels,
)

RATE_HZ, HOP = 22_050, CNN_VIEW.hop_length


def quiet_then_loud(seconds=4.0, at_s=2.0):
    noise = np.random.default_rng(0).normal(0, 0.001, round(seconds * RATE_HZ))
    noise[round(at_s * RATE_HZ) :] *= 100
    return noise.astype(np.float32)


def test_levels_are_relative_to_full_scale():
    square = np.where(np.arange(RATE_HZ) // 50 % 2, 1.0, -1.0).astype(np.float32)
    for gain, level_db in ((1.0, 0), (0.1, -20), (0.0, -100)):
        measured = levels(gain * square, range(3, 30), HOP, CNN_VIEW.n_fft)
        assert measured == pytest.approx(np.full(27, level_db), abs=0.01)


def test_beyond_the_recording_is_silence():
    ones = np.ones(10 * HOP, np.float32)
    half = levels(ones, range(1), HOP, CNN_VIEW.n_fft)
    assert half == pytest.approx([10 * np.log10(0.5)])


def test_the_change_is_largest_where_the_sound_changes():
    power = frame_power(quiet_then_loud(), CNN_VIEW, RATE_HZ)
    context = context_frames(HOP / RATE_HZ)
    measured = changes(power, range(power.shape[1]), context)
    assert abs(measured.argmax() * HOP / RATE_HZ - 2.0) < 0.05
    assert measured[[0, -1]].max() < measured.max() / 2
    assert measured.max() == pytest.approx(40, abs=3)


def test_the_change_at_a_frame_depends_on_its_neighbors_only():
    power = frame_power(quiet_then_loud(), CNN_VIEW, RATE_HZ)
    context = context_frames(HOP / RATE_HZ)
    whole = changes(power, range(60, 110), context)
    part = changes(power[:, 60 - context : 110 + context], range(context, context + 50), context)
    np.testing.assert_allclose(part, whole, atol=1e-9)


@pytest.mark.parametrize(("seconds", "count"), [(60, 861), (1_000, 1_958), (86_400, 2_000)])
def test_a_picture_has_a_limited_number_of_columns(seconds, count):
    num_frames = seconds * RATE_HZ // HOP
    assert -(-num_frames // frames_per_column(num_frames, HOP / RATE_HZ)) == count <= MAX_COLUMNS


def test_columns_of_parts_are_columns_of_the_whole():
    power = frame_power(quiet_then_loud(), CNN_VIEW, RATE_HZ)
    whole = columns(power, 0, 10)
    assert whole.shape == (64, -(-power.shape[1] // 10))
    parts = [columns(power[:, :47], 0, 10), columns(power[:, 47:], 47, 10)]
    assert parts[0].shape[1] == 5
    np.testing.assert_array_equal(parts[0][:, :4], whole[:, :4])
    np.testing.assert_array_equal(parts[1][:, 1:], whole[:, 5:])
    np.testing.assert_array_equal(np.maximum(parts[0][:, 4], parts[1][:, 0]), whole[:, 4])
    assert whole[:, -1].mean() - whole[:, 0].mean() == pytest.approx(40, abs=3)
