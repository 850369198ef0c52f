import numpy as np

from freqquest.audio.augment import vary
from tests.conftest import RATE_HZ, tone


def test_a_copy_has_another_pitch_and_the_same_length():
    clip = tone(440.0)
    copy = vary(clip, RATE_HZ, np.random.default_rng(1))
    assert copy.shape == clip.shape
    assert np.isfinite(copy).all()
    peaks_hz = [np.abs(np.fft.rfft(samples[:RATE_HZ])).argmax() for samples in (clip, copy)]
    assert peaks_hz[1] != peaks_hz[0]
    assert abs(12 * np.log2(peaks_hz[1] / peaks_hz[0])) <= 2.1  # semitones


def test_the_same_generator_state_gives_the_same_copy():
    first, second = (vary(tone(440.0), RATE_HZ, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
