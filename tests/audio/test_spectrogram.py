import librosa
import numpy as np
import pytest
import torch
import torchaudio

from freqquest.audio.spectrogram import (
    CGAN_VIEW,
    CNN_VIEW,
    SpectrogramConfig,
    log_mel,
    mel_filter_bank,
)
from tests.conftest import RATE_HZ, tone
from tests.sizes import ALL_SIZES


def noise(seed: int) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(4 * RATE_HZ)).astype(np.float32)


WAVEFORMS = {"tone": tone(440.0), "noise": noise(1), "silence": np.zeros(4 * RATE_HZ, np.float32)}


@pytest.mark.parametrize("sample_rate_hz", [8_000, 22_050, 44_100])
@pytest.mark.parametrize(
    "view", [CNN_VIEW, CGAN_VIEW, SpectrogramConfig(num_mels=40, n_fft=512, mel_scale="htk")]
)
def test_mel_filters_equal_librosas(view, sample_rate_hz):
    expected = librosa.filters.mel(
        sr=sample_rate_hz,
        n_fft=view.n_fft,
        n_mels=view.num_mels,
        htk=view.mel_scale == "htk",
        norm="slaney" if view.mel_scale == "slaney" else None,
    )
    np.testing.assert_allclose(mel_filter_bank(view, sample_rate_hz), expected, atol=1e-6)


@pytest.mark.parametrize("name", WAVEFORMS)
def test_the_cnn_view_equals_librosas_to_rounding(name):
    waveform = WAVEFORMS[name]
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE_HZ, n_fft=2048, hop_length=512, n_mels=128
    )
    expected = librosa.power_to_db(mel, ref=np.max, top_db=80.0)
    ours = log_mel(waveform, CNN_VIEW, RATE_HZ)
    assert ours.shape == (128, 173)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=2e-3)


@pytest.mark.parametrize("name", WAVEFORMS)
def test_the_cgan_view_equals_torchaudios_to_rounding_padded_with_zeros(name):
    waveform = WAVEFORMS[name]
    transform = torchaudio.transforms.MelSpectrogram(
        RATE_HZ, n_fft=1024, hop_length=256, n_mels=128
    )
    expected = torch.log1p(transform(torch.from_numpy(waveform))).numpy()
    ours = log_mel(waveform, CGAN_VIEW, RATE_HZ)
    assert ours.shape == (128, 512)
    np.testing.assert_allclose(ours[:, : expected.shape[1]], expected, atol=2e-3)
    assert not ours[:, expected.shape[1] :].any()


def test_views_of_real_clips_equal_librosas_and_torchaudios(real_data):
    transform = torchaudio.transforms.MelSpectrogram(
        RATE_HZ, n_fft=1024, hop_length=256, n_mels=128
    )
    for path in sorted((real_data / "train").glob("*/*.flac"))[::100]:
        waveform, _ = librosa.load(path, sr=RATE_HZ, mono=True, duration=4.0)
        mel = librosa.feature.melspectrogram(
            y=waveform, sr=RATE_HZ, n_fft=2048, hop_length=512, n_mels=128
        )
        decibel = librosa.power_to_db(mel, ref=np.max, top_db=80.0)
        np.testing.assert_allclose(log_mel(waveform, CNN_VIEW, RATE_HZ), decibel, atol=5e-3)
        level = torch.log1p(transform(torch.from_numpy(waveform))).numpy()
        np.testing.assert_allclose(
            log_mel(waveform, CGAN_VIEW, RATE_HZ)[:, : level.shape[1]], level, atol=5e-3
        )


def test_long_spectrograms_are_cut():
    view = SpectrogramConfig(num_frames=10)
    assert log_mel(tone(440.0), view, RATE_HZ).shape == (128, 10)


def test_stereo_is_refused_with_its_shape_and_the_fix():
    with pytest.raises(ValueError, match=r"\(2, 8\) is not mono: it must be \[S\]; average"):
        log_mel(np.zeros((2, 8), np.float32), CNN_VIEW, RATE_HZ)


def test_a_hop_that_skips_audio_is_refused():
    with pytest.raises(ValueError, match=r"`hop_length=4096` must be between 1 and `n_fft=2048`"):
        SpectrogramConfig(hop_length=4096)


@ALL_SIZES
def test_filters_between_two_frequencies_equal_librosas(size):
    view = size.views["cnn"]
    expected = librosa.filters.mel(
        sr=size.sample_rate,
        n_fft=view.n_fft,
        n_mels=view.num_mels,
        fmin=view.min_frequency_hz,
        fmax=view.max_frequency_hz,
    )
    np.testing.assert_allclose(mel_filter_bank(view, size.sample_rate), expected, atol=1e-6)


@pytest.mark.parametrize("n_fft", [1022, 1023])
def test_every_frame_of_an_odd_window_hears_the_clip(n_fft):
    """Frames that were left out would be 0 dB, the loudest."""
    config = SpectrogramConfig(n_fft=n_fft, hop_length=250, num_frames=65)
    fading = (noise(0)[:16_000] * np.linspace(1, 0.01, 16_000)).astype(np.float32)
    assert log_mel(fading, config, 16_000)[:, -1].max() < -20
