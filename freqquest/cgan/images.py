"""What the networks see of a spectrogram, and back.

Shapes: B clips, M mel bands, T frames of the dataset's view, W frames of an image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.networks.projection import SHRINKING

_SCALE = 10.0
_LOUDEST = 1.2
"""A little above what full-scale sound reaches in an image, at any floor that is sensible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScale:
    """How spectrograms, ln(1 + power), become images."""

    num_mels: int
    num_frames: int
    """Of a spectrogram."""
    filled_frames: int
    """Frames that a clip can fill; the others are silence."""
    image_frames: int
    """Frames that the networks see."""
    floor: float
    """Power below which little is told apart; 0 leaves spectrograms as they are."""

    @property
    def audible_frames(self) -> int:
        """Frames that become sound: the recipe's silence behind the clips does so too."""
        return self.num_frames if self.floor == 0 else self.filled_frames

    def encode(self, spectrograms: Tensor) -> Tensor:
        """Spectrograms `[B, M, T]` to images `[B, 1, M, W]`: from -1 for silence, where there is a floor.

        ln(1 + power) is nearly 0 below a power of 1, where quiet clips have all that there is to hear. ln(1 + power /
        floor) is the same with the floor in place of 1 (Marafioti et al., 2019, also train on clipped logarithms).
        """
        images = spectrograms[:, None, :, : self.image_frames]
        return (
            images
            if self.floor == 0
            else torch.log1p(torch.expm1(images) / self.floor) / _SCALE - 1
        )

    def decode(self, images: Tensor) -> Tensor:
        """Images `[B, 1, M, W]` to spectrograms `[B, M, T]`, from 0 up, float32."""
        values = images[:, 0].float()
        if self.floor > 0:
            values = torch.log1p(
                torch.expm1((values.clamp(-1, _LOUDEST) + 1) * _SCALE) * self.floor
            )
        return functional.pad(values, (0, self.num_frames - self.image_frames))


def image_scale(view: SpectrogramConfig, clip: ClipConfig, floor: float) -> ImageScale:
    """The scale of a dataset's view.

    Args:
        view: Of the compression `log1p`.
        clip: The clips' length and rate.
        floor: As above; 0 keeps all frames too.
    """
    filled = 1 + round(clip.duration_s * clip.sample_rate_hz) // view.hop_length
    rounded = -(-filled // SHRINKING) * SHRINKING
    return ImageScale(
        num_mels=view.num_mels,
        num_frames=view.num_frames,
        filled_frames=min(view.num_frames, filled),
        image_frames=min(view.num_frames, rounded) if floor > 0 else view.num_frames,
        floor=floor,
    )
