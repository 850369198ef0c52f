"""Conversion between spectrograms and the images that the networks see.

torch only. Shapes: B clips, M mel bands, T frames of the dataset's view, W frames of an image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.networks.projection import DOWNSCALE

_SCALE = 10.0
"""Nepers of power per unit of an image."""

MAX_LEVEL = 1.2
"""Highest value of an image: slightly more than full-scale sound gives with any useful floor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScale:
    """Mapping of spectrograms, ln(1 + power), to images."""

    num_mels: int
    """Mel bands of both."""
    num_frames: int
    """Frames of a spectrogram."""
    filled_frames: int
    """Frames that a clip can fill; the others are silent."""
    image_frames: int
    """Frames of an image."""
    floor: float
    """Power below which differences hardly show; 0 leaves spectrograms as they are."""

    @property
    def audible_frames(self) -> int:
        """Frames that become sound; the recipe includes the silence behind the clips."""
        return self.num_frames if self.floor == 0 else self.filled_frames

    def encode(self, spectrograms: Tensor) -> Tensor:
        """Convert spectrograms `[B, M, T]` to images `[B, 1, M, W]`; with a floor, silence is -1.

        ln(1 + power) is nearly 0 below a power of 1, which is all that quiet clips contain.
        ln(1 + power / floor) moves that limit to the floor (Marafioti et al., 2019, also train on
        clipped logarithms).
        """
        images = spectrograms[:, None, :, : self.image_frames]
        return (
            images
            if self.floor == 0
            else torch.log1p(torch.expm1(images) / self.floor) / _SCALE - 1
        )

    def decode(self, images: Tensor) -> Tensor:
        """Convert images `[B, 1, M, W]` to spectrograms `[B, M, T]`, at least 0, float32."""
        values = images[:, 0].float()
        if self.floor > 0:
            values = torch.log1p(
                torch.expm1((values.clamp(-1, MAX_LEVEL) + 1) * _SCALE) * self.floor
            )
        return functional.pad(values, (0, self.num_frames - self.image_frames))


def image_scale(view: SpectrogramConfig, clip: ClipConfig, floor: float) -> ImageScale:
    """Return the image scale of a dataset's view.

    Args:
        view: View with the compression `log1p`.
        clip: Length and sample rate of the clips.
        floor: Power floor; 0 keeps all frames of the view too.
    """
    filled = 1 + round(clip.duration_s * clip.sample_rate_hz) // view.hop_length
    rounded = -(-filled // DOWNSCALE) * DOWNSCALE
    return ImageScale(
        num_mels=view.num_mels,
        num_frames=view.num_frames,
        filled_frames=min(view.num_frames, filled),
        image_frames=min(view.num_frames, rounded) if floor > 0 else view.num_frames,
        floor=floor,
    )
