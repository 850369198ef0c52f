import hashlib

import numpy as np
import pytest
import torch
from torch.nn import functional

from freqquest.cgan.augment import Augmentation

AUGMENTATION = Augmentation(num_frames=345)


def random_images():
    """Images of two clips, with silence behind them."""
    return functional.pad(torch.rand(2, 1, 128, 345) - 0.5, (0, 7), value=-1.0)


def changed(images, **changes):
    names = ["shift", "gain", "band", "bands", "frame", "frames"]
    row = torch.tensor([[changes.get(name, 0.0) for name in names]])
    return AUGMENTATION.apply(images, row.expand(len(images), -1))


def test_zero_changes_leave_images_as_they_are():
    images = random_images()
    assert torch.equal(changed(images), images)


def test_a_shift_rotates_the_frames_that_a_clip_fills():
    images = random_images()
    rotated = changed(images, shift=10.0)
    assert torch.equal(rotated[..., 10:345], images[..., :335])
    assert torch.equal(rotated[..., :10], images[..., 335:345])
    assert torch.equal(rotated[..., 345:], images[..., 345:])


def test_a_gain_leaves_silence_silent():
    images = torch.tensor([-1.0, 0.0]).expand(1, 1, 128, 2).repeat(1, 1, 1, 176)
    assert changed(images, gain=0.05).unique().tolist() == pytest.approx([-1.0, 0.05])


def test_masks_blank_bands_and_frames():
    masked = changed(torch.zeros(1, 1, 128, 352), band=120.0, bands=20.0, frame=3.0, frames=2.0)
    assert (masked[0, 0, 120:] == -1).all()
    assert (masked[..., 3:5] == -1).all()
    assert (masked[..., :345] == -1).sum() == 8 * 345 + 120 * 2


def test_gradients_pass_through_the_changes():
    images = torch.zeros(1, 1, 128, 352, requires_grad=True)
    changed(images, shift=5.0, gain=0.1, band=3.0, bands=2.0).sum().backward()
    assert images.grad.sum() == 126 * 345


def test_random_changes_are_in_range_and_reproducible():
    first, second = (AUGMENTATION.draw(np.random.default_rng(1), 500, 128) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.min(axis=0)[0] >= 0
    assert first.max(axis=0)[0] < 345
    assert np.abs(first[:, 1]).max() <= AUGMENTATION.gain
    assert first[:, 3].max() == 24
    assert first[:, 5].max() == 60
    assert 0.3 < (first[:, 5] == 0).mean() < 0.7


def test_changes_of_the_recipes_clips_are_drawn_as_ever():
    """The hash was taken when masks were counted in bands and frames."""
    drawn = AUGMENTATION.draw(np.random.default_rng([1, 2]), 16, 128)
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == (
        "0f146e6d0ad41785ae86dfd03c55297ba4d29ba6b76e416a3140ba5c76f8e6a6"
    )


def test_masks_are_shares_of_the_clip_and_the_bands():
    drawn = Augmentation(num_frames=69).draw(np.random.default_rng(1), 500, 64)
    assert drawn[:, 3].max() == 12
    assert drawn[:, 5].max() == 12
