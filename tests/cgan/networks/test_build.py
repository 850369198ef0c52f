import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.images import image_scale
from freqquest.cgan.networks.build import build_discriminator, build_generator
from freqquest.cgan.networks.projection import ModulatedGenerator, ProjectionDiscriminator
from freqquest.cgan.networks.recipe import RecipeDiscriminator, RecipeGenerator
from tests.cgan.conftest import small


@pytest.mark.parametrize(
    ("preset", "generator_type", "discriminator_type", "num_frames"),
    [
        ("reference", RecipeGenerator, RecipeDiscriminator, 512),
        ("default", ModulatedGenerator, ProjectionDiscriminator, 352),
    ],
)
def test_each_preset_has_its_networks_which_fit_its_images(
    preset, generator_type, discriminator_type, num_frames
):
    cgan_config = small(preset)
    scale = image_scale(CGAN_VIEW, ClipConfig(), cgan_config.floor)
    generator = build_generator(cgan_config, 2, scale)
    discriminator = build_discriminator(cgan_config, 2)
    assert isinstance(generator, generator_type)
    assert isinstance(discriminator, discriminator_type)
    labels = torch.tensor([0, 1])
    images = generator(torch.randn(2, cgan_config.noise_dim), labels)
    assert images.shape == (2, 1, 128, num_frames)
    assert discriminator(images, labels).shape == (2,)
