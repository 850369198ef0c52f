import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchaudio

from freqquest.audio.invert import MAX_PEAK, _bins_at_once, _inverse_filters, invert
from freqquest.audio.spectrogram import (
    CGAN_VIEW,
    CNN_VIEW,
    SpectrogramConfig,
    log_mel,
    mel_filter_bank,
)
from tests.conftest import RATE_HZ, tone
from tests.sizes import ALL_SIZES

SHORT = SpectrogramConfig(
    n_fft=1024,
    hop_length=256,
    num_frames=64,
    mel_scale="htk",
    padding="reflect",
    compression="log1p",
)
"""The generator's view, for three quarters of a second."""


def log_mel_of_tone(pitch_hz, config=SHORT, seed=0):
    return log_mel(tone(pitch_hz, seed=seed), config, RATE_HZ)


def mel_error(again, original):
    """Return the norm of the difference of two spectrograms, relative to the original's."""
    return np.linalg.norm(again - original) / np.linalg.norm(original)


@pytest.mark.parametrize("method", ["default", "reference"])
def test_inversion_keeps_pitch_and_level_and_the_padding_is_silent(method):
    (waveform,) = invert(
        log_mel_of_tone(440.0, CGAN_VIEW)[None], CGAN_VIEW, RATE_HZ, seeds=[0], method=method
    )
    assert waveform.shape == ((512 - 1) * 256,)
    assert waveform.dtype == np.float32
    second = waveform[RATE_HZ : 2 * RATE_HZ]
    assert (
        abs(np.abs(np.fft.rfft(second)).argmax() - 440) <= 25
    )  # Hz; filters are 20 Hz and more apart
    assert 0.5 < np.sqrt(np.mean(np.square(second))) / 0.212 < 1.5
    assert np.abs(waveform[round(4.2 * RATE_HZ) :]).max() < 0.01


def test_the_default_method_reproduces_noise_better_than_the_recipe():
    noise = (0.2 * np.random.default_rng(0).standard_normal(RATE_HZ)).astype(np.float32)
    original = log_mel(noise, SHORT, RATE_HZ)
    default, recipe = (
        mel_error(
            log_mel(
                invert(original[None], SHORT, RATE_HZ, seeds=[0], method=method)[0], SHORT, RATE_HZ
            ),
            original,
        )
        for method in ("default", "reference")
    )
    assert default < 0.05
    assert default < 0.7 * recipe


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "num_mels", "rate_hz", "limit"),
    [(2048, 512, 80, 44_100, 0.05), (512, 200, 64, 16_000, 0.05), (600, 150, 40, 8_000, 0.05)],
)
def test_other_analyses_are_inverted_too(n_fft, hop_length, num_mels, rate_hz, limit):
    config = SpectrogramConfig(
        n_fft=n_fft,
        hop_length=hop_length,
        num_mels=num_mels,
        num_frames=48,
        mel_scale="htk",
        padding="reflect",
        compression="log1p",
    )
    noise = (0.2 * np.random.default_rng(0).standard_normal(60 * hop_length)).astype(np.float32)
    original = log_mel(noise, config, rate_hz)
    waveforms = invert(original[None], config, rate_hz, seeds=[0])
    assert waveforms.shape == (1, 47 * hop_length)
    assert mel_error(log_mel(waveforms[0], config, rate_hz), original) < limit


def test_a_clip_is_inverted_the_same_alone_and_in_any_batch():
    originals = np.stack(
        [log_mel_of_tone(pitch, seed=seed) for seed, pitch in enumerate((200.0, 440.0, 3000.0))]
    )
    for method in ("default", "reference"):
        together = invert(originals, SHORT, RATE_HZ, seeds=[5, 6, 7], method=method)
        alone = invert(originals[1:2], SHORT, RATE_HZ, seeds=[6], method=method)
        np.testing.assert_allclose(together[1], alone[0], atol=1e-3)


def test_many_clips_are_inverted_in_parts(monkeypatch):
    originals = torch.from_numpy(
        np.stack([log_mel_of_tone(pitch) for pitch in (200.0, 440.0, 3000.0)])
    )
    together = invert(originals, SHORT, RATE_HZ, seeds=[0, 1, 2])
    monkeypatch.setattr("freqquest.audio.invert._CPU_BINS_AT_ONCE", 2 * 64 * 513)
    np.testing.assert_allclose(
        invert(originals, SHORT, RATE_HZ, seeds=[0, 1, 2]), together, atol=1e-3
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["default", "reference"])
def test_a_gpu_inverts_as_well(method):
    original = log_mel_of_tone(440.0)
    errors = []
    for device in ("cpu", "cuda"):
        (again,) = invert(original[None], SHORT, RATE_HZ, seeds=[0], method=method, device=device)
        errors.append(mel_error(log_mel(again, SHORT, RATE_HZ), original))
    assert errors[1] == pytest.approx(errors[0], rel=0.1)


def test_the_inverse_filters_equal_torchaudios_least_squares():
    mel = torch.rand(128, 20, generator=torch.Generator().manual_seed(0))
    scale = torchaudio.transforms.InverseMelScale(513, 128, RATE_HZ, driver="gelsd")
    ours = (_inverse_filters(CGAN_VIEW, RATE_HZ) @ mel).clamp(min=0)
    np.testing.assert_allclose(ours, scale(mel), atol=1e-2)


@pytest.mark.parametrize("method", ["default", "reference"])
def test_any_output_of_a_network_gives_a_finite_waveform_below_the_peak(method):
    noise = np.random.default_rng(0).standard_normal((128, 64)).astype(np.float32)
    wild = np.stack([np.full((128, 64), 1e4, np.float32), 1e4 * noise, 5 * noise, 1e-4 * noise])
    waveforms = invert(wild, SHORT, RATE_HZ, seeds=range(4), method=method)
    assert np.isfinite(waveforms).all()
    assert np.abs(waveforms).max() <= MAX_PEAK + 1e-6


@pytest.mark.parametrize("method", ["default", "reference"])
def test_silence_and_negative_values_stay_silent(method):
    silence = np.stack([np.zeros((128, 64), np.float32), np.full((128, 64), -1, np.float32)])
    assert not invert(silence, SHORT, RATE_HZ, seeds=[0, 1], method=method).any()


@pytest.mark.parametrize("method", ["default", "reference"])
def test_the_seed_decides_the_waveform(method):
    spectrogram = log_mel_of_tone(440.0)[None].repeat(3, 0)
    (first, again), (other,) = (
        invert(spectrogram[: len(seeds)], SHORT, RATE_HZ, seeds=seeds, method=method)
        for seeds in ([3, 3], [4])
    )
    np.testing.assert_allclose(first, again, atol=1e-3)
    assert np.abs(first - other).max() > 0.01


def test_no_spectrograms_give_no_waveforms():
    assert invert(np.empty((0, 128, 64), np.float32), SHORT, RATE_HZ, seeds=[]).shape == (
        0,
        63 * 256,
    )


def test_a_compression_without_level_is_refused():
    with pytest.raises(ValueError, match="compression 'decibel' loses the level"):
        invert(np.zeros((1, 128, 173), np.float32), CNN_VIEW, RATE_HZ, seeds=[0])


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(5, 5\) must be \[N, 128, T\] with T of 4"):
        invert(np.zeros((5, 5), np.float32), CGAN_VIEW, RATE_HZ, seeds=[0])


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="1 seeds for 2 spectrograms: pass one per spectrogram"):
        invert(np.zeros((2, 128, 64), np.float32), SHORT, RATE_HZ, seeds=[0])


def test_the_default_method_needs_no_torchaudio(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    assert invert(np.zeros((1, 128, 64), np.float32), SHORT, RATE_HZ, seeds=[0]).shape == (1, 16128)


@pytest.mark.parametrize(("total", "expected"), [(80 * 2**30, 2**25), (4 * 2**30, 16_106_127)])
def test_a_small_gpu_inverts_fewer_bins_at_once(monkeypatch, total, expected):
    properties = SimpleNamespace(total_memory=total)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    assert _bins_at_once(torch.device("cuda")) == expected


@ALL_SIZES
def test_clips_of_any_size_are_inverted(size):
    view, rate = size.views["cgan"], size.sample_rate
    num_samples = min(size.clip.num_samples, 40 * view.hop_length)
    noise = (0.2 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)
    original = log_mel(noise, replace(view, num_frames=1 + num_samples // view.hop_length), rate)
    (waveform,) = invert(original[None], view, rate, seeds=[0])
    again = log_mel(waveform, replace(view, num_frames=original.shape[1] - 1), rate)
    assert mel_error(again, original[:, :-1]) < 0.1


@pytest.mark.parametrize("hop_length", [384, 576, 768])
def test_frames_that_hardly_overlap_are_inverted_at_their_level(hop_length):
    config = replace(SHORT, n_fft=768, hop_length=hop_length, num_frames=21)
    original = log_mel(tone(1000.0), config, RATE_HZ)
    (waveform,) = invert(original[None], config, RATE_HZ, seeds=[0])
    again = log_mel(waveform, replace(config, num_frames=20), RATE_HZ)
    assert mel_error(again, original[:, :-1]) < 0.25
    assert 0.6 < waveform.std() / tone(1000.0)[: len(waveform)].std() < 1.2


def test_bands_without_an_fft_bin_are_inverted_to_finite_sound():
    config = replace(SHORT, n_fft=384, hop_length=96, num_mels=190)
    is_empty = mel_filter_bank(config, 8_000).sum(axis=1) == 0
    assert is_empty.any()
    sound = np.zeros((1, 190, 20), np.float32)
    sound[:, is_empty] = 8.0  # which a network may generate
    sound[:, 100] = 5.0
    waveform = invert(sound, config, 8_000, seeds=[0])
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() > 1e-3
