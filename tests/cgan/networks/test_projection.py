import pytest
import torch

from freqquest.cgan.networks.projection import ModulatedGenerator, ProjectionDiscriminator


@pytest.mark.parametrize("image", [(64, 96), (48, 32), (16, 16)])
@pytest.mark.parametrize("overlapping", [True, False])
def test_outputs_have_the_documented_shapes_for_any_image(overlapping, image):
    labels = torch.tensor([0, 1, 2, 0])
    generator = ModulatedGenerator(3, 8, 16, image, overlapping=overlapping)
    images = generator(torch.randn(4, 8), labels)
    assert images.shape == (4, 1, *image)
    assert ProjectionDiscriminator(3, 16)(images, labels).shape == (4,)


def test_class_and_noise_change_images_and_the_class_changes_logits():
    torch.manual_seed(0)
    generator, discriminator = (
        ModulatedGenerator(2, 8, 16, (32, 32)),
        ProjectionDiscriminator(2, 16),
    )
    noise = torch.randn(1, 8).repeat(4, 1)
    noise[3] = -noise[3]
    images = generator(noise, torch.tensor([0, 0, 1, 0]))
    assert torch.equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    assert (images[0] != images[3]).any()
    logits = discriminator(images[:1].repeat(2, 1, 1, 1), torch.tensor([0, 1]))
    assert logits[0] != logits[1]


def test_a_class_may_differ_from_others_at_some_heights_alone():
    torch.manual_seed(0)
    discriminator = ProjectionDiscriminator(2, 16)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.zero_()
        discriminator.downsample[-2].bias.fill_(1)  # all features are 1, at each height
        by_height = discriminator.embedding_by_height.weight.view(2, -1, 8)
        by_height[1, :, 7] = 1  # class 1 likes the highest part
        images = torch.randn(2, 1, 128, 64)
        logits = discriminator(images, torch.tensor([0, 1]))
        assert logits[0] == 0
        assert logits[1] == pytest.approx(16 * 8)
