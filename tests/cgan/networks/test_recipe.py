import torch

from freqquest.cgan.networks.recipe import RecipeDiscriminator, RecipeGenerator


def shapes_of(network, *inputs):
    """Return each leaf layer's name and output shape, in order of the pass."""
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


def test_the_generator_has_the_recipes_layers():
    shapes = shapes_of(RecipeGenerator(5), torch.randn(2, 100), torch.tensor([0, 4]))
    assert shapes == [
        ("WideLinear", (256 * 8 * 32,)),  # a Linear, except in several processes
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


def test_the_discriminator_has_the_recipes_layers():
    shapes = shapes_of(RecipeDiscriminator(5), torch.randn(2, 1, 128, 512), torch.tensor([0, 4]))
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
        for layer in RecipeDiscriminator(5).modules()
        if isinstance(layer, torch.nn.LeakyReLU)
    }
    assert slopes == {0.2}


def test_the_networks_have_the_recipes_number_of_parameters():
    linear = (100 + 5) * 65_536 + 65_536
    transposed = (256 * 128 * 16 + 128) + (128 * 64 * 16 + 64) + (64 * 32 * 16 + 32) + (32 * 16 + 1)
    assert count(RecipeGenerator(5)) == linear + transposed + 2 * (128 + 64 + 32) == 7_636_129
    label_map = 5 * 65_536 + 65_536
    convolutions = (
        (2 * 32 * 16 + 32) + (32 * 64 * 16 + 64) + (64 * 128 * 16 + 128) + (128 * 256 * 16 + 256)
    )
    last = 256 * 8 * 32 + 1
    assert (
        count(RecipeDiscriminator(5))
        == label_map + convolutions + 2 * (64 + 128 + 256) + last
        == 1_149_281
    )


def test_outputs_have_the_documented_shapes_and_range():
    spectrograms = RecipeGenerator(3)(torch.randn(4, 100), torch.tensor([0, 1, 2, 0]))
    assert spectrograms.shape == (4, 1, 128, 512)
    assert spectrograms.min() >= 0
    assert RecipeDiscriminator(3)(spectrograms, torch.tensor([0, 1, 2, 0])).shape == (4,)
