"""Rotation of images in time, which gives generated clips their timing.

The discriminator sees clips rotated by random numbers of frames (`freqquest.cgan.augment`), so a
trained generator is free to put the sounds of all clips at the same moment. So each generated clip
is rotated as well. torch and NumPy only. Shapes: N clips, H bands and W frames of an image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_RAMP_FRAMES = 16
"""Frames on each side of the seam over which the step between both ends is spread: 0.2 s."""

_LEVEL_FRAMES = 4
"""Frames at each end that give the level there: the generator writes so many at once."""


def draw_shifts(seed: int, clips: Sequence[tuple[int, int]], num_frames: int) -> Tensor:
    """Return numbers of frames `[N]` by which clips are rotated; none depends on the others.

    Args:
        seed: Seed of the clips.
        clips: Class index and number of each clip.
        num_frames: Frames that a clip fills.
    """
    rngs = [np.random.default_rng([seed, *clip, 2]) for clip in clips]
    return torch.tensor([int(rng.integers(num_frames)) for rng in rngs])


def join_ends(images: Tensor, num_frames: int) -> Tensor:
    """Return images `[N, 1, H, W]` whose clip ends at the level at which it begins, in each band.

    Rotation joins both ends in the middle of the clip. There, the step between them would be larger
    than any other between neighboring frames.
    """
    ramp, ends = min(_RAMP_FRAMES, num_frames // 2), min(_LEVEL_FRAMES, num_frames)
    last = images[..., num_frames - ends : num_frames].mean(-1, keepdim=True)
    step = images[..., :ends].mean(-1, keepdim=True) - last
    weights = (torch.arange(ramp, 0, -1, device=images.device) - 0.5) / (2 * ramp)
    images = images.clone()
    images[..., :ramp] -= step * weights
    images[..., num_frames - ramp : num_frames] += step * weights.flip(0)
    return images


def rotate(images: Tensor, shifts: Tensor, num_frames: int) -> Tensor:
    """Return the first frames of images `[N, 1, H, W]`, rotated by numbers of frames `[N]`.

    Args:
        images: Images whose clips fill the first `num_frames`.
        shifts: Each clip begins so many frames later, and its end comes first.
        num_frames: Frames that a clip fills.

    Returns:
        `[N, 1, H, num_frames]`.
    """
    frames = torch.arange(num_frames, device=images.device)
    sources = ((frames - shifts[:, None]) % num_frames).long()
    return torch.gather(
        images[..., :num_frames], 3, sources[:, None, None].expand(-1, 1, images.shape[2], -1)
    )
