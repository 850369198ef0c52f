import math

import torch

from freqquest.cgan.losses import discriminator_loss, generator_loss


def test_an_undecided_discriminator_loses_ln_2():
    zero = torch.zeros(4)
    assert math.isclose(discriminator_loss(zero, zero).item(), math.log(2), rel_tol=1e-6)
    assert math.isclose(generator_loss(zero).item(), math.log(2), rel_tol=1e-6)


def test_losses_fall_when_their_network_wins():
    sure = torch.full((4,), 8.0)
    assert discriminator_loss(sure, -sure) < 0.01 < discriminator_loss(-sure, sure)
    assert generator_loss(sure) < 0.01 < generator_loss(-sure)


def test_losses_are_float32_whatever_the_logits_are():
    assert discriminator_loss(torch.zeros(2).bfloat16(), torch.zeros(2).bfloat16()).dtype == torch.float32
