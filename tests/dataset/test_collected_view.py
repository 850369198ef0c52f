import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, log_mel
from freqquest.dataset.collected_view import CollectedView
from tests.conftest import RATE_HZ, tone


@pytest.mark.parametrize("level", [1.0, 1e-3, 1e-5, 0.0])
@pytest.mark.parametrize("settings", [CNN_VIEW, CGAN_VIEW], ids=["decibel", "log1p"])
def test_values_are_rounded_to_float16_as_numpy_does_whatever_the_level(settings, level):
    noise = np.random.default_rng(0).standard_normal(4 * RATE_HZ)
    waveforms = [
        (level * waveform).astype(np.float32) for waveform in (tone(440.0), noise, -noise[::-1])
    ]
    view = CollectedView(settings, ClipConfig(), num_clips=5)
    for waveform in waveforms:
        view.add(waveform)
    expected = np.stack([log_mel(waveform, settings, RATE_HZ) for waveform in waveforms])
    expected, behind = np.split(expected, [settings.filled_frames(4 * RATE_HZ)], axis=2)
    assert not behind.any()
    stored = view.to_arrow().to_numpy_ndarray()
    assert stored.tobytes() == expected.astype(np.float16).tobytes()
    count, total, squares = view.moments
    assert (count == expected.shape[0] * expected.shape[2]).all()
    np.testing.assert_allclose(total, expected.sum(axis=(0, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(squares, np.square(expected).sum(axis=(0, 2)), rtol=1e-4)
