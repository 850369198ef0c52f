"""Networks of the default: a generator with modulated layers, and a projection discriminator.

torch only.
Shapes: B clips, Z noise values, K classes, C channels, H x W a map, M mel bands, T frames of an
image, D condition values.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from freqquest.cgan.distributed import BatchNorm2d, WideLinear

DOWNSCALE = 16
"""Ratio between the sides of an image and those of the smallest map."""

_FEATURE_GAIN = 22.0
"""Gain of the averaged features, which are so small that the last layers would learn slowly."""

_HEIGHT_GAIN = 8.0
"""The same for features that are averaged over time alone."""

_NUM_HEIGHTS = 8
"""Parts of the frequency range whose features the discriminator compares with the class."""

_PATCH = 4
"""Step between the squares that the generator's last layer writes; the discriminator's first
stride."""


class ModulatedGenerator(nn.Module):
    """Network that turns noise and a class into an image."""

    def __init__(
        self,
        num_classes: int,
        noise_dim: int,
        num_channels: int,
        image: tuple[int, int],
        *,
        overlapping: bool = True,
    ) -> None:
        """Build the layers.

        Args:
            num_classes: K.
            noise_dim: Z.
            num_channels: Channels of the smallest map; each doubling of the sides halves them.
            image: M and T, multiples of DOWNSCALE.
            overlapping: Write squares that overlap by half, not squares that touch.
        """
        super().__init__()
        self.start = num_channels, image[0] // DOWNSCALE, image[1] // DOWNSCALE
        condition_dim = 2 * noise_dim
        self.embedding = nn.Embedding(num_classes, noise_dim)
        self.project = WideLinear(condition_dim, num_channels * self.start[1] * self.start[2])
        widths = [num_channels, num_channels // 2, num_channels // 4]
        self.modulations = nn.ModuleList(_Modulation(width, condition_dim) for width in widths)
        self.upsamplings = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            for before, after in itertools.pairwise(widths)
        )
        self.patches = (
            nn.Sequential(
                nn.Conv2d(widths[-1], widths[-1], 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose2d(widths[-1], 1, 2 * _PATCH, stride=_PATCH, padding=_PATCH // 2),
            )
            if overlapping
            else nn.Conv2d(widths[-1], _PATCH**2, 3, padding=1)
        )
        self.overlapping = overlapping

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Map noise `[B, Z]` and class indices `[B]` to unbounded images `[B, 1, M, T]`."""
        condition = torch.cat([noise, self.embedding(labels)], dim=1)
        maps = (
            self.project(condition)
            .view(-1, *self.start)
            .contiguous(memory_format=torch.channels_last)
        )
        maps = functional.relu(self.modulations[0](maps, condition))
        for upsample, modulate in zip(self.upsamplings, self.modulations[1:], strict=True):
            maps = functional.relu(modulate(upsample(maps), condition))
        images: Tensor = self.patches(maps)
        return images if self.overlapping else functional.pixel_shuffle(images, _PATCH)


class _Modulation(nn.Module):
    """Batch normalization whose scale and offset come from noise and class.

    Source: de Vries et al., "Modulating early visual processing by language", 2017; Miyato and
    Koyama, 2018.
    """

    def __init__(self, num_channels: int, condition_dim: int) -> None:
        super().__init__()
        self.normalize = BatchNorm2d(num_channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * num_channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        """Normalize and modulate maps `[B, C, H, W]` by the condition `[B, D]`."""
        scale, offset = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = self.normalize(maps) * (1 + scale) + offset
        return modulated


class ProjectionDiscriminator(nn.Module):
    """Network that scores whether an image is a real clip of a class.

    Source: Miyato and Koyama, "cGANs with projection discriminator", 2018.
    """

    def __init__(self, num_classes: int, num_channels: int) -> None:
        """Build the layers; `num_channels` is that of the last map."""
        super().__init__()
        widths = [num_channels // 4, num_channels // 2, num_channels]
        self.downsample = nn.Sequential(
            # Two channels: the image, and the band's height, which convolutions do not see.
            nn.Conv2d(2, widths[0], 2 * _PATCH, stride=_PATCH, padding=_PATCH // 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[0], widths[1], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[1], widths[2], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[2], widths[2], 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Linear(num_channels, 1)
        self.embedding = nn.Embedding(num_classes, num_channels)
        self.score_by_height = nn.Linear(_NUM_HEIGHTS * num_channels, 1)
        self.embedding_by_height = nn.Embedding(num_classes, _NUM_HEIGHTS * num_channels)
        nn.init.normal_(self.embedding_by_height.weight, std=0.05)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map images `[B, 1, M, T]` and class indices `[B]` to logits `[B]`, float32."""
        height = torch.linspace(-1, 1, images.shape[2], device=images.device, dtype=images.dtype)
        both = torch.cat([images, height[:, None].expand_as(images)], dim=1)
        maps = self.downsample(both.contiguous(memory_format=torch.channels_last))
        with torch.autocast(images.device.type, enabled=False):
            maps = maps.float()
            features = maps.mean(dim=(2, 3)) * _FEATURE_GAIN
            by_height = functional.adaptive_avg_pool2d(maps, (_NUM_HEIGHTS, 1)).flatten(1)
            logits: Tensor = _compare(features, self.score, self.embedding(labels)) + _compare(
                by_height * _HEIGHT_GAIN, self.score_by_height, self.embedding_by_height(labels)
            )
        return logits


def _compare(features: Tensor, score: nn.Linear, of_class: Tensor) -> Tensor:
    """Return the scores `[B]` of features `[B, D]`, by themselves and for a class `[B, D]`."""
    scores: Tensor = score(features)[:, 0] + (of_class * features).sum(dim=1)
    return scores
