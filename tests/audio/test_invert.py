import numpy as np
import pytest
import torch
import torchaudio

from freqquest.audio.invert import MAX_PEAK, _inverse_filters, invert
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, log_mel
from tests.conftest import RATE_HZ, tone


def test_a_clip_comes_back_at_its_pitch_and_level_with_silence_where_it_was_padded():
    waveform = invert(log_mel(tone(440.0), CGAN_VIEW, RATE_HZ), CGAN_VIEW, RATE_HZ)
    assert waveform.shape == ((512 - 1) * 256,)
    assert waveform.dtype == np.float32
    second = waveform[RATE_HZ : 2 * RATE_HZ]
    assert abs(np.abs(np.fft.rfft(second)).argmax() - 440) <= 25  # Hz; filters are 20 Hz and more apart
    assert 0.5 < np.sqrt(np.mean(np.square(second))) / 0.212 < 1.5
    assert np.abs(waveform[round(4.2 * RATE_HZ) :]).max() < 0.01


def test_noise_comes_back_with_nearly_the_same_spectrogram():
    noise = (0.2 * np.random.default_rng(0).standard_normal(4 * RATE_HZ)).astype(np.float32)
    original = log_mel(noise, CGAN_VIEW, RATE_HZ)
    again = log_mel(invert(original, CGAN_VIEW, RATE_HZ), CGAN_VIEW, RATE_HZ)
    assert np.linalg.norm(again - original) / np.linalg.norm(original) < 0.25


def test_mel_filters_are_undone_as_torchaudios_least_squares_does():
    mel = torch.rand(128, 20, generator=torch.Generator().manual_seed(0))
    scale = torchaudio.transforms.InverseMelScale(513, 128, RATE_HZ, driver="gelsd")
    ours = np.maximum(_inverse_filters(CGAN_VIEW, RATE_HZ) @ mel.numpy(), 0)
    np.testing.assert_allclose(ours, scale(mel).numpy(), atol=1e-2)


def test_whatever_a_network_gives_is_finite_and_not_clipped():
    wild = np.full((128, 512), 1e4, np.float32)
    waveform = invert(wild, CGAN_VIEW, RATE_HZ)
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= MAX_PEAK + 1e-6
    assert not invert(np.zeros((128, 512), np.float32), CGAN_VIEW, RATE_HZ).any()


def test_the_same_seed_gives_the_same_sound():
    spectrogram = log_mel(tone(440.0), CGAN_VIEW, RATE_HZ)
    first, second = (invert(spectrogram, CGAN_VIEW, RATE_HZ, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_view_without_level_is_refused():
    with pytest.raises(ValueError, match="only log1p spectrograms can be heard"):
        invert(np.zeros((128, 173), np.float32), CNN_VIEW, RATE_HZ)


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(5, 5\): expected \[128, T\]"):
        invert(np.zeros((5, 5), np.float32), CGAN_VIEW, RATE_HZ)
