"""Construction of the networks that a configuration asks for. torch only.

Shapes: B clips, Z noise values, H bands and W frames of an image.
"""

from torch import nn

from freqquest.cgan.config import CganConfig
from freqquest.cgan.images import ImageScale
from freqquest.cgan.networks.projection import ModulatedGenerator, ProjectionDiscriminator
from freqquest.cgan.networks.recipe import RecipeDiscriminator, RecipeGenerator


def build_generator(cgan_config: CganConfig, num_classes: int, scale: ImageScale) -> nn.Module:
    """Build a generator: noise `[B, Z]` and class indices `[B]` to images `[B, 1, H, W]`."""
    if cgan_config.architecture == "recipe":
        return RecipeGenerator(num_classes, cgan_config.noise_dim)
    image = scale.image_mels, scale.image_frames
    return ModulatedGenerator(
        num_classes,
        cgan_config.noise_dim,
        cgan_config.generator_channels,
        image,
        overlapping=cgan_config.overlapping,
    )


def build_discriminator(cgan_config: CganConfig, num_classes: int) -> nn.Module:
    """Build a discriminator: images `[B, 1, H, W]` and class indices `[B]` to logits `[B]`."""
    if cgan_config.architecture == "recipe":
        return RecipeDiscriminator(num_classes)
    return ProjectionDiscriminator(num_classes, cgan_config.discriminator_channels)
