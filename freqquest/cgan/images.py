"""Conversion between spectrograms and the images that the networks see.

torch only. Shapes: B clips, M mel bands and T frames of the dataset's view, H bands and W frames of
an image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, SpectrogramConfig
from freqquest.cgan.networks.projection import DOWNSCALE
from freqquest.cgan.timing import join_ends, rotate

_SCALE = 10.0
"""Nepers of power per unit of an image."""

MAX_LEVEL = 1.2
"""Highest value of an image: slightly more than full-scale sound gives with any useful floor."""

SILENCE = -1.0
"""Value of silence in an image that has a floor, and of the padding around its clip."""

_MIN_FRAMES = 2 * DOWNSCALE
"""Shortest image: with a smallest map of one value, a batch of one clip could not be normalized."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScale:
    """Mapping of spectrograms, ln(1 + power), to images."""

    num_mels: int
    """Mel bands of a spectrogram."""
    num_frames: int
    """Frames of a spectrogram."""
    filled_frames: int
    """Frames that a clip can fill; the others are silent."""
    image_mels: int
    """Bands of an image, of which the highest may be padding."""
    image_frames: int
    """Frames of an image, of which the last may be padding."""
    floor: float
    """Power below which differences hardly show; 0 leaves spectrograms as they are."""

    @property
    def audible_frames(self) -> int:
        """Frames that become sound; the recipe includes the silence behind the clips."""
        return self.num_frames if self.floor == 0 else self.filled_frames

    def encode(self, spectrograms: Tensor) -> Tensor:
        """Convert spectrograms `[B, M, T]` to images `[B, 1, H, W]`; with a floor, silence is -1.

        ln(1 + power) is nearly 0 below a power of 1, which is all that quiet clips contain.
        ln(1 + power / floor) moves that limit to the floor (Marafioti et al., 2019, also train on
        clipped logarithms).
        """
        images = spectrograms[:, None, :, : self.audible_frames]
        if self.floor == 0:
            return images
        return self._pad(torch.log1p(torch.expm1(images) / self.floor) / _SCALE - 1)

    def decode(self, images: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Convert images `[B, 1, H, W]` to spectrograms `[B, M, T]`, at least 0, float32.

        Args:
            images: Images; only those with a floor can be rotated.
            shifts: Numbers of frames `[B]` by which the clips are rotated in time; None for none.
        """
        images = images.float()
        if self.floor > 0:
            images = images.clamp(SILENCE, MAX_LEVEL)
        if shifts is not None:
            images = rotate(join_ends(images, self.filled_frames), shifts, self.filled_frames)
        values = images[:, 0, : self.num_mels, : self.audible_frames]
        if self.floor > 0:
            values = torch.log1p(torch.expm1((values + 1) * _SCALE) * self.floor)
        return functional.pad(values, (0, self.num_frames - self.audible_frames))

    def silence_padding(self, images: Tensor) -> Tensor:
        """Return images `[B, 1, H, W]` with silence around the clip, as in those of `encode`.

        So the generator need not learn it. Only shapes matter: a CUDA graph may capture it.
        """
        if self.floor == 0:
            return images
        return self._pad(images[..., : self.num_mels, : self.filled_frames])

    def _pad(self, clips: Tensor) -> Tensor:
        """Add silence above and behind the clips of images `[B, 1, M, filled_frames]`."""
        above, behind = self.image_mels - self.num_mels, self.image_frames - self.filled_frames
        return functional.pad(clips, (0, behind, 0, above), value=SILENCE)


def image_scale(view: SpectrogramConfig, clip: ClipConfig, floor: float) -> ImageScale:
    """Return the image scale of a dataset's view.

    Args:
        view: View with the compression `log1p`.
        clip: Length and sample rate of the clips.
        floor: Power floor, for the recipe's window; 0 keeps all frames of the view too.
    """
    filled = view.filled_frames(clip.num_samples)
    return ImageScale(
        num_mels=view.num_mels,
        num_frames=view.num_frames,
        filled_frames=filled,
        image_mels=_round_up(view.num_mels) if floor > 0 else view.num_mels,
        image_frames=max(_MIN_FRAMES, _round_up(filled)) if floor > 0 else view.num_frames,
        floor=effective_floor(floor, view),
    )


def effective_floor(floor: float, view: SpectrogramConfig) -> float:
    """Return a power floor of the recipe's window for a view's: a tone's power grows as n_fft^2."""
    return floor * (view.n_fft / CGAN_VIEW.n_fft) ** 2


def read_scale(fields: Mapping[str, Any]) -> ImageScale:
    """Return the scale in a file's JSON; older files do not have `image_mels`.

    Raises:
        KeyError, TypeError: The fields are not those of a scale.
    """
    return ImageScale(**{"image_mels": fields["num_mels"], **fields})


def _round_up(side: int) -> int:
    """Return the next side that the networks can halve."""
    return -(-side // DOWNSCALE) * DOWNSCALE
