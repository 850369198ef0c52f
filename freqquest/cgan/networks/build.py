"""TODO: say what this module is for."""

from torch import nn

from freqquest.cgan.config import CganConfig
from freqquest.cgan.images import ImageScale
from freqquest.cgan.networks.projection import ModulatedGenerator, ProjectionDiscriminator
from freqquest.cgan.networks.recipe import Discriminator, Generator


def build_generator(config: CganConfig, num_classes: int, scale: ImageScale) -> nn.Module:
    """The generator of a preset: noise `[B, Z]` and class indices `[B]` to images `[B, 1, M, T]`."""
    if config.architecture == "recipe":
        return Generator(num_classes, config.noise_dim)
    image = scale.num_mels, scale.image_frames
    return ModulatedGenerator(num_classes, config.noise_dim, config.generator_channels, image)


def build_discriminator(config: CganConfig, num_classes: int) -> nn.Module:
    """The discriminator of a preset: images `[B, 1, M, T]` and class indices `[B]` to logits `[B]`."""
    if config.architecture == "recipe":
        return Discriminator(num_classes)
    return ProjectionDiscriminator(num_classes, config.discriminator_channels)
