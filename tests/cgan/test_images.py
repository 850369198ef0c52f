import dataclasses

import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.images import image_scale
from tests.cgan.conftest import clips


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
