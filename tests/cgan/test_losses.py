import math

import torch

from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.networks.build import build_discriminator
from tests.cgan.conftest import small


def test_cross_entropy_of_an_undecided_discriminator_is_ln_2():
    zero = torch.zeros(4)
    assert math.isclose(discriminator_loss(zero, zero).mean(), math.log(2), rel_tol=1e-6)
    assert math.isclose(generator_loss(zero).mean(), math.log(2), rel_tol=1e-6)


def test_losses_equal_torchs_cross_entropy_with_logits():
    real, fake = torch.randn(2, 6)
    loss = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = (loss(real, torch.ones(6)) + loss(fake, torch.zeros(6))) / 2
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), loss(fake, torch.ones(6)))


def test_a_networks_loss_is_small_if_it_wins():
    sure = torch.full((4,), 8.0)
    assert (discriminator_loss(sure, -sure) < 0.01).all()
    assert (discriminator_loss(-sure, sure) > 7).all()
    assert (generator_loss(sure) < generator_loss(-sure)).all()


def test_losses_of_bfloat16_logits_are_float32():
    assert (
        discriminator_loss(torch.zeros(2).bfloat16(), torch.zeros(2).bfloat16()).dtype
        == torch.float32
    )
    assert generator_loss(torch.zeros(2).bfloat16()).dtype == torch.float32


def test_the_gradient_penalty_is_the_squared_slope_at_each_clip():
    class Linear(torch.nn.Module):
        def forward(self, images, labels):
            return (images * torch.tensor([1.0, 3.0])[labels][:, None, None, None]).sum(
                dim=(1, 2, 3)
            )

    penalty = gradient_penalty(Linear(), torch.randn(2, 1, 4, 5), torch.tensor([0, 1]))
    torch.testing.assert_close(penalty, torch.tensor([20.0, 180.0]))


def test_the_gradient_penalty_has_the_derivatives_of_the_squared_gradient():
    discriminator = build_discriminator(small("default"), 2)
    images, labels = torch.randn(3, 1, 32, 48), torch.tensor([0, 1, 1])
    squared = images.clone().requires_grad_()
    logits = discriminator(squared, labels)
    (gradient,) = torch.autograd.grad(logits.sum(), squared, create_graph=True)
    expected = gradient.square().sum(dim=(1, 2, 3))
    penalty = gradient_penalty(discriminator, images, labels)
    torch.testing.assert_close(penalty, expected, rtol=1e-4, atol=0)
    parameters = list(discriminator.parameters())
    weights = torch.tensor([1.0, 2.0, 3.0])
    ours, theirs = (
        torch.autograd.grad((weights * value).sum(), parameters, materialize_grads=True)
        for value in (penalty, expected)
    )
    assert max(float(value.abs().max()) for value in ours) > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
