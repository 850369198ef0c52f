"""Random changes of the discriminator's inputs, the same kinds for real and generated images.

They slow down the memorization of few clips. The generator does not learn to imitate them, because
gradients pass through. All of them leave a sound recognizable. torch and NumPy only.
Source: Zhao et al., "Differentiable augmentation for data-efficient GAN training", 2020.
Shapes: B clips, M bands and T frames of an image.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from freqquest.cgan.images import SILENCE
from freqquest.cgan.timing import rotate

_MASKED_SHARE = 0.5
"""Share of the clips that get a mask, for each of the two kinds of mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Ranges of the random changes."""

    num_frames: int
    """Frames that a clip fills; they are rotated in time by any number."""
    gain: float = 0.07
    """Largest change of level, in units of an image: 0.7 nepers of power, 3 dB."""
    mask_bands: float = 24 / 128
    """Largest height of a mask, as a share of the mel bands."""
    mask_frames: float = 60 / 345
    """Largest length of a mask, as a share of the frames that a clip fills."""

    def draw(self, rng: np.random.Generator, num_clips: int, num_mels: int) -> np.ndarray:
        """Return random changes, one row `[B, 6]` per clip.

        The columns are shift, gain, first masked band, number of masked bands, first masked frame,
        and number of masked frames.
        """
        masked = rng.random((2, num_clips)) < _MASKED_SHARE
        max_bands = round(self.mask_bands * num_mels)
        max_frames = round(self.mask_frames * self.num_frames)
        columns = [
            rng.integers(0, self.num_frames, num_clips),
            rng.uniform(-self.gain, self.gain, num_clips),
            rng.integers(0, num_mels, num_clips),
            rng.integers(0, max_bands + 1, num_clips) * masked[0],
            rng.integers(0, self.num_frames, num_clips),
            rng.integers(0, max_frames + 1, num_clips) * masked[1],
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def apply(self, images: Tensor, changes: Tensor) -> Tensor:
        """Return images `[B, 1, M, T]` with the changes `[B, 6]`; silence stays silence.

        Frames behind the clip, which are silent, are made anew.
        """
        shift, gain, *masks = (column[:, None] for column in changes.unbind(dim=1))
        filled = rotate(images, shift[:, 0], self.num_frames)
        behind = images.shape[3] - self.num_frames
        images = functional.pad(filled, (0, behind), value=SILENCE)
        images = images + gain[..., None, None] * (images > SILENCE)
        hidden = (
            _stripe(images.shape[2], *masks[:2])[:, None, :, None]
            | _stripe(images.shape[3], *masks[2:])[:, None, None]
        )
        return torch.where(hidden, SILENCE, images)


def _stripe(length: int, start: Tensor, width: Tensor) -> Tensor:
    """Return `[B, length]`, True for `width` positions from `start` on."""
    positions = torch.arange(length, device=start.device)
    return (positions >= start) & (positions < start + width)
