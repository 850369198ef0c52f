"""Changes that real and generated images undergo alike before the discriminator sees them.

It learns few clips by heart less quickly then, and the generator is not taught the changes, as gradients pass through
them. Source: Zhao et al., "Differentiable augmentation for data-efficient GAN training", 2020; the changes are such as
leave a sound what it is. Shapes: B clips, M mel bands, T frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_MASKED_SHARE = 0.5
"""Of clips, for each of the two kinds of mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What is drawn from."""

    num_frames: int
    """Frames that a clip fills; they are turned in time by any number."""
    gain: float = 0.07
    """Largest change of level, in units of an image: 0.7 nepers of power, 3 dB."""
    mask_bands: int = 24
    """Highest mask, in mel bands."""
    mask_frames: int = 60
    """Longest mask, in frames."""

    def draw(self, source: np.random.Generator, num_clips: int, num_mels: int) -> np.ndarray:
        """One row `[B, 6]` for each clip: shift, gain, and each mask's start and length."""
        masked = source.random((2, num_clips)) < _MASKED_SHARE
        columns = [
            source.integers(0, self.num_frames, num_clips),
            source.uniform(-self.gain, self.gain, num_clips),
            source.integers(0, num_mels, num_clips),
            source.integers(0, self.mask_bands + 1, num_clips) * masked[0],
            source.integers(0, self.num_frames, num_clips),
            source.integers(0, self.mask_frames + 1, num_clips) * masked[1],
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Images `[B, 1, M, T]` changed as drawn `[B, 6]`; silence stays silence."""
        shift, gain, *masks = (column[:, None] for column in drawn.unbind(dim=1))
        frames = torch.arange(self.num_frames, device=images.device)
        turned = (
            ((frames - shift) % self.num_frames)
            .long()[:, None, None]
            .expand(-1, 1, images.shape[2], -1)
        )
        filled = torch.gather(images[..., : self.num_frames], 3, turned)
        images = torch.cat([filled, images[..., self.num_frames :]], dim=3)
        images = images + gain[..., None, None] * (images > _SILENCE)
        hidden = (
            _stripe(images.shape[2], *masks[:2])[:, None, :, None]
            | _stripe(images.shape[3], *masks[2:])[:, None, None]
        )
        return torch.where(hidden, _SILENCE, images)


_SILENCE = -1.0


def _stripe(length: int, start: Tensor, width: Tensor) -> Tensor:
    """True from `start` on for `width` places: `[B, length]`."""
    places = torch.arange(length, device=start.device)
    return (places >= start) & (places < start + width)
