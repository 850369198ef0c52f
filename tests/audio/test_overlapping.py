import numpy as np
import pytest

from freqquest.audio.overlapping import frame_power, window_log_mels
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, SpectrogramConfig, log_mel
from tests.sizes import ALL_SIZES


def require_equal(view, sample_rate_hz, num_samples, hop_s):
    rng = np.random.default_rng(0)
    starts = np.round(np.arange(20) * hop_s * sample_rate_hz / view.hop_length).astype(int)
    waveform = rng.normal(0, 0.1, starts[-1] * view.hop_length + num_samples + 5)
    waveform = (waveform * np.linspace(0, 1, len(waveform))).astype(np.float32)
    power = frame_power(waveform, view, sample_rate_hz)
    together = window_log_mels(waveform, power, starts, num_samples, view, sample_rate_hz)
    for start, spectrogram in zip(starts, together, strict=True):
        window = waveform[start * view.hop_length :][:num_samples]
        np.testing.assert_array_equal(spectrogram, log_mel(window, view, sample_rate_hz))


@pytest.mark.parametrize("hop_s", [0.1, 1.0, 4.0, 5.0])
@pytest.mark.parametrize("view", [CNN_VIEW, CGAN_VIEW], ids=["cnn", "cgan"])
def test_overlapping_windows_equal_windows_analyzed_one_by_one(view, hop_s):
    require_equal(view, 22_050, 88_200, hop_s)


@ALL_SIZES
def test_windows_of_any_size_equal_windows_analyzed_one_by_one(size):
    view = size.views["cnn"]
    require_equal(view, size.sample_rate, size.clip.num_samples, size.duration / 3)


def test_windows_that_are_all_edge_are_analyzed_too():
    view = SpectrogramConfig(num_frames=5)  # two frames of samples, padded on both sides
    require_equal(view, 22_050, 1_500, 0.05)
