import numpy as np
import torch

from freqquest.cgan.timing import draw_shifts, join_ends, rotate


def ramps(num_clips=2, num_frames=80, padding=4):
    """Return images `[N, 1, 3, W]` whose level rises with time, and silence behind them."""
    levels = torch.linspace(-0.5, 0.5, num_frames).expand(num_clips, 1, 3, -1)
    return torch.nn.functional.pad(levels, (0, padding), value=-1.0)


def test_each_clip_is_rotated_by_its_own_number_of_frames():
    images = ramps()
    rotated = rotate(images, torch.tensor([0, 30]), 80)
    assert rotated.shape == (2, 1, 3, 80)
    assert torch.equal(rotated[0], images[0, ..., :80])
    assert torch.equal(rotated[1], images[1, ..., :80].roll(30, dims=-1))


def test_no_step_remains_between_the_joined_ends():
    joined = join_ends(ramps(), 80)
    steps = (joined[..., :80] - joined[..., :80].roll(1, dims=-1)).abs()
    assert steps[..., 0].max() < 0.1  # it was 1
    assert steps.max() < 0.1
    assert torch.equal(joined[..., 16:64], ramps()[..., 16:64])
    assert torch.equal(joined[..., 80:], ramps()[..., 80:])


def test_equal_ends_stay_as_they_are():
    images = ramps().abs()
    torch.testing.assert_close(join_ends(images, 80), images)


def test_a_clip_of_few_frames_can_be_joined():
    assert torch.isfinite(join_ends(ramps(num_frames=5), 5)).all()


def test_shifts_depend_on_seed_class_and_number_alone():
    clips = [(label, number) for label in range(2) for number in range(200)]
    shifts = draw_shifts(0, clips, 80)
    assert torch.equal(draw_shifts(0, clips[100:150], 80), shifts[100:150])
    assert not torch.equal(draw_shifts(1, clips, 80), shifts)
    counts = np.bincount(shifts.numpy() // 20, minlength=4)
    assert counts.min() > 60  # of 400, in each quarter of the clip
    assert shifts.max() < 80
