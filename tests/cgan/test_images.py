import dataclasses

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.augment import Augmentation
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


def test_images_become_the_spectrograms_they_were_and_silence_behind_the_clips_end():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    spectrograms = clips(2)
    spectrograms[..., 345:] = 0
    torch.testing.assert_close(
        scale.decode(scale.encode(spectrograms)), spectrograms, rtol=1e-4, atol=1e-5
    )


def test_whatever_a_network_gives_becomes_a_finite_spectrogram():
    scale = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)
    decoded = scale.decode(torch.tensor([-1e6, 1e6])[:, None, None, None].expand(-1, 1, 128, 352))
    assert torch.isfinite(decoded).all()
    assert decoded.min() == 0
    assert decoded.shape == (2, 128, 512)


@pytest.mark.parametrize(("duration_s", "frames"), [(4.0, 352), (1.0, 96), (60.0, 512)])
def test_images_hold_the_frames_that_clips_fill(duration_s, frames):
    scale = image_scale(CGAN_VIEW, dataclasses.replace(ClipConfig(), duration_s=duration_s), 1e-4)
    assert scale.image_frames == frames


def test_generated_sound_is_as_long_as_the_clips_but_for_the_recipes():
    assert image_scale(CGAN_VIEW, ClipConfig(), 1e-4).audible_frames == 345
    assert image_scale(CGAN_VIEW, ClipConfig(), 0.0).audible_frames == 512


AUGMENTATION = Augmentation(num_frames=345)


def changed(images, **changes):
    names = ["shift", "gain", "band", "bands", "frame", "frames"]
    row = torch.tensor([[changes.get(name, 0.0) for name in names]])
    return AUGMENTATION.apply(images, row.expand(len(images), -1))


def test_without_changes_images_stay_what_they_are():
    images = torch.rand(2, 1, 128, 352) - 0.5
    assert torch.equal(changed(images), images)


def test_a_shift_turns_the_frames_that_a_clip_fills():
    images = torch.rand(2, 1, 128, 352) - 0.5
    turned = changed(images, shift=10.0)
    assert torch.equal(turned[..., 10:345], images[..., :335])
    assert torch.equal(turned[..., :10], images[..., 335:345])
    assert torch.equal(turned[..., 345:], images[..., 345:])


def test_a_gain_leaves_silence_silent():
    images = torch.tensor([-1.0, 0.0]).expand(1, 1, 128, 2).repeat(1, 1, 1, 176)
    assert changed(images, gain=0.05).unique().tolist() == pytest.approx([-1.0, 0.05])


def test_masks_blank_bands_and_frames():
    masked = changed(torch.zeros(1, 1, 128, 352), band=120.0, bands=20.0, frame=3.0, frames=2.0)
    assert (masked[0, 0, 120:] == -1).all()
    assert (masked[..., 3:5] == -1).all()
    assert (masked == -1).sum() == 8 * 352 + 120 * 2


def test_gradients_pass_through_the_changes():
    images = torch.zeros(1, 1, 128, 352, requires_grad=True)
    changed(images, shift=5.0, gain=0.1, band=3.0, bands=2.0).sum().backward()
    assert images.grad.sum() == 126 * 352


def test_drawn_changes_are_within_their_bounds_and_given_by_the_source():
    first, second = (AUGMENTATION.draw(np.random.default_rng(1), 500, 128) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.min(axis=0)[0] >= 0
    assert first.max(axis=0)[0] < 345
    assert np.abs(first[:, 1]).max() <= AUGMENTATION.gain
    assert first[:, 3].max() <= AUGMENTATION.mask_bands
    assert 0.3 < (first[:, 5] == 0).mean() < 0.7
