import torch

from freqquest.cgan.networks.projection import ModulatedGenerator, ProjectionDiscriminator
from freqquest.cgan.networks.recipe import Discriminator, Generator


def shapes_of(network, *inputs):
    """Each leaf layer's name and output shape, in the order of the pass."""
    seen = []
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(
                lambda layer, _, output: seen.append(
                    (type(layer).__name__, tuple(output.shape[1:]))
                )
            )
    network(*inputs)
    return seen


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_generator_is_the_recipes_layer_for_layer():
    shapes = shapes_of(Generator(5), torch.randn(2, 100), torch.tensor([0, 4]))
    assert shapes == [
        ("WideLinear", (256 * 8 * 32,)),  # a Linear but for several processes
        ("ConvTranspose2d", (128, 16, 64)),
        ("BatchNorm2d", (128, 16, 64)),
        ("ReLU", (128, 16, 64)),
        ("ConvTranspose2d", (64, 32, 128)),
        ("BatchNorm2d", (64, 32, 128)),
        ("ReLU", (64, 32, 128)),
        ("ConvTranspose2d", (32, 64, 256)),
        ("BatchNorm2d", (32, 64, 256)),
        ("ReLU", (32, 64, 256)),
        ("ConvTranspose2d", (1, 128, 512)),
        ("ReLU", (1, 128, 512)),
    ]


def test_the_discriminator_is_the_recipes_layer_for_layer():
    shapes = shapes_of(Discriminator(5), torch.randn(2, 1, 128, 512), torch.tensor([0, 4]))
    assert shapes == [
        ("Linear", (128 * 512,)),
        ("Conv2d", (32, 64, 256)),
        ("LeakyReLU", (32, 64, 256)),
        ("Conv2d", (64, 32, 128)),
        ("BatchNorm2d", (64, 32, 128)),
        ("LeakyReLU", (64, 32, 128)),
        ("Conv2d", (128, 16, 64)),
        ("BatchNorm2d", (128, 16, 64)),
        ("LeakyReLU", (128, 16, 64)),
        ("Conv2d", (256, 8, 32)),
        ("BatchNorm2d", (256, 8, 32)),
        ("LeakyReLU", (256, 8, 32)),
        ("Conv2d", (1, 1, 1)),
    ]
    slopes = {
        layer.negative_slope
        for layer in Discriminator(5).modules()
        if isinstance(layer, torch.nn.LeakyReLU)
    }
    assert slopes == {0.2}


def test_parameters_are_counted():
    linear = (100 + 5) * 65_536 + 65_536
    transposed = (256 * 128 * 16 + 128) + (128 * 64 * 16 + 64) + (64 * 32 * 16 + 32) + (32 * 16 + 1)
    assert count(Generator(5)) == linear + transposed + 2 * (128 + 64 + 32) == 7_636_129
    label_map = 5 * 65_536 + 65_536
    convolutions = (
        (2 * 32 * 16 + 32) + (32 * 64 * 16 + 64) + (64 * 128 * 16 + 128) + (128 * 256 * 16 + 256)
    )
    last = 256 * 8 * 32 + 1
    assert (
        count(Discriminator(5))
        == label_map + convolutions + 2 * (64 + 128 + 256) + last
        == 1_149_281
    )


def test_outputs_have_the_promised_shapes_and_range():
    spectrograms = Generator(3)(torch.randn(4, 100), torch.tensor([0, 1, 2, 0]))
    assert spectrograms.shape == (4, 1, 128, 512)
    assert spectrograms.min() >= 0
    assert Discriminator(3)(spectrograms, torch.tensor([0, 1, 2, 0])).shape == (4,)


def test_our_networks_have_the_promised_shapes_for_any_image():
    labels = torch.tensor([0, 1, 2, 0])
    images = ModulatedGenerator(3, 8, 16, (64, 96))(torch.randn(4, 8), labels)
    assert images.shape == (4, 1, 64, 96)
    assert ProjectionDiscriminator(3, 16)(images, labels).shape == (4,)


def test_class_and_noise_both_change_what_is_made_and_the_class_what_is_thought_of_it():
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
