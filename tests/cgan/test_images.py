import dataclasses

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, log_mel
from freqquest.cgan.images import MAX_LEVEL, image_scale
from tests.cgan.conftest import clips
from tests.sizes import ALL_SIZES


def test_without_a_floor_images_are_the_spectrograms():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 0.0)
    spectrograms = clips(2)
    assert torch.equal(scale.encode(spectrograms), spectrograms[:, None])
    assert torch.equal(scale.decode(spectrograms[:, None]), spectrograms)


def test_with_a_floor_silence_is_minus_one_and_quiet_sound_is_not():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    levels = torch.tensor(
        [0.0, 1e-4, 1e-2, 11.5]
    )  # ln(1 + power): silence, the floor, quiet, full scale
    images = scale.encode(levels[:, None, None].expand(-1, 128, 512))
    assert images.shape == (4, 1, 128, 352)
    assert images[:, 0, 0, 0].tolist() == pytest.approx([-1, -0.93, -0.54, 1.07], abs=0.01)


def test_decoded_images_are_the_encoded_spectrograms():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    spectrograms = clips(2)
    spectrograms[..., 345:] = 0
    torch.testing.assert_close(
        scale.decode(scale.encode(spectrograms)), spectrograms, rtol=1e-4, atol=1e-5
    )


def test_any_image_becomes_a_finite_spectrogram():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    decoded = scale.decode(torch.tensor([-1e6, 1e6])[:, None, None, None].expand(-1, 1, 128, 352))
    assert torch.isfinite(decoded).all()
    assert decoded.min() == 0
    assert decoded.shape == (2, 128, 512)


@pytest.mark.parametrize(("duration_s", "frames"), [(4.0, 352), (1.0, 96), (60.0, 512)])
def test_images_have_the_frames_that_clips_fill(duration_s, frames):
    scale = image_scale(CGAN_VIEW, dataclasses.replace(ClipConfig(), duration_s=duration_s), 1e-4)
    assert scale.image_frames == frames


def test_generated_sound_is_as_long_as_the_clips_except_for_the_recipe():
    assert image_scale(CGAN_VIEW, ClipConfig(), 1e-4).audible_frames == 345
    assert image_scale(CGAN_VIEW, ClipConfig(), 0.0).audible_frames == 512


@ALL_SIZES
def test_images_of_any_size_are_padded_with_silence_and_decoded_without_it(size):
    view = size.views["cgan"]
    scale = image_scale(view, size.clip, 1e-4)
    rng = np.random.default_rng(0)
    shape = (2, view.num_mels, view.num_frames)
    spectrograms = torch.from_numpy(rng.exponential(size=shape).astype(np.float32))
    images = scale.encode(spectrograms)
    assert images.shape == (2, 1, scale.image_mels, scale.image_frames)
    assert scale.image_mels % 16 == scale.image_frames % 16 == 0
    assert (images[:, :, view.num_mels :] == -1).all()
    assert (images[..., view.num_frames :] == -1).all()
    torch.testing.assert_close(scale.decode(images), spectrograms, rtol=1e-4, atol=1e-5)
    loud = torch.ones_like(images)
    assert torch.equal(scale.decode(scale.silence_padding(loud)), scale.decode(loud))
    silenced = scale.silence_padding(loud) == -1
    assert torch.equal(silenced, scale.encode(spectrograms + 1) == -1)


def test_no_sound_behind_the_clip_is_decoded():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    decoded = scale.decode(torch.ones(1, 1, 128, 352))
    assert (decoded[..., :345] > 0).all()
    assert (decoded[..., 345:] == 0).all()


def test_without_a_floor_no_padding_is_silenced():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 0.0)
    assert torch.equal(
        scale.silence_padding(torch.ones(1, 1, 128, 512)), torch.ones(1, 1, 128, 512)
    )


@pytest.mark.parametrize("n_fft", [384, 1024, 16_384])
def test_a_loud_tone_has_the_same_level_with_any_window(n_fft):
    view = dataclasses.replace(CGAN_VIEW, n_fft=n_fft, hop_length=n_fft // 4, num_frames=20)
    time = np.arange(5 * n_fft) / 48_000
    tone = log_mel(np.sin(2 * np.pi * 9_000 * time).astype(np.float32), view, 48_000)
    scale = image_scale(
        view, ClipConfig(sample_rate_hz=48_000, duration_s=5 * n_fft / 48_000), 1e-4
    )
    loudest = scale.encode(torch.from_numpy(tone)[None]).max()
    assert 0.95 < loudest < MAX_LEVEL
