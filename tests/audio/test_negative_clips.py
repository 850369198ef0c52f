from collections import Counter

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.negative_clips import negative_clips

CLIP = ClipConfig(sample_rate_hz=8_000, duration_s=1.0)


def slope_db(waveform):
    """Return the slope of a waveform's power from 100 to 3200 Hz, in dB per octave."""
    power = np.square(np.abs(np.fft.rfft(waveform)))
    octaves = [10 * np.log10(power[low : 2 * low].mean()) for low in (100, 200, 400, 800, 1600)]
    return np.diff(octaves).mean()


def test_there_are_clips_of_each_kind_in_the_format_asked_for():
    clips = list(negative_clips(CLIP, copies=2))
    assert Counter(kind for kind, _ in clips) == {
        "silence": 1,
        "white": 8,
        "pink": 8,
        "brown": 8,
        "hum": 16,
    }
    for _, waveform in clips:
        assert waveform.shape == (8_000,)
        assert waveform.dtype == np.float32
        assert np.abs(waveform).max() <= 1


def test_the_colors_fall_by_0_3_and_6_db_per_octave():
    loud = {kind: wave for kind, wave in negative_clips(CLIP, copies=1) if np.std(wave) > 0.1}
    for color, expected in {"white": 0, "pink": -3, "brown": -6}.items():
        assert abs(slope_db(loud[color]) - expected) < 1


def test_levels_differ_and_silence_is_silent():
    clips = list(negative_clips(CLIP, copies=1))
    assert not clips[0][1].any()
    levels = [20 * np.log10(np.std(wave)) for kind, wave in clips if kind == "white"]
    np.testing.assert_allclose(levels, [-70, -50, -30, -10], atol=0.5)


def test_hum_has_its_power_in_the_harmonics_of_the_mains():
    for kind, waveform in negative_clips(CLIP, copies=1):
        if kind == "hum":
            power = np.square(np.abs(np.fft.rfft(waveform)))
            harmonics = {*range(50, 401, 50), *range(60, 481, 60)}
            assert power[sorted(harmonics)].sum() > 0.9 * power.sum()


def test_a_seed_gives_the_same_clips_and_another_one_others():
    first, again, other = (
        [wave for _, wave in negative_clips(CLIP, copies=1, seed=seed)] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
