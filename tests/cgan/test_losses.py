import math

import pytest
import torch

from freqquest.cgan.losses import discriminator_loss, generator_loss

BOTH = pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])


def test_cross_entropy_of_an_undecided_discriminator_is_ln_2():
    zero = torch.zeros(4)
    assert math.isclose(discriminator_loss(zero, zero, "cross_entropy").mean(), math.log(2), rel_tol=1e-6)
    assert math.isclose(generator_loss(zero, "cross_entropy").mean(), math.log(2), rel_tol=1e-6)


def test_cross_entropy_is_torchs_on_logits():
    real, fake = torch.randn(2, 6)
    loss = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = (loss(real, torch.ones(6)) + loss(fake, torch.zeros(6))) / 2
    torch.testing.assert_close(discriminator_loss(real, fake, "cross_entropy"), expected)
    torch.testing.assert_close(generator_loss(fake, "cross_entropy"), loss(fake, torch.ones(6)))


def test_hinge_asks_for_a_distance_of_one_and_no_more():
    logits = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert discriminator_loss(logits, -logits, "hinge").tolist() == [6, 4, 2, 0, 0]
    assert generator_loss(logits, "hinge").tolist() == [2, 1, 0, -1, -2]


@BOTH
def test_losses_fall_when_their_network_wins(loss):
    sure = torch.full((4,), 8.0)
    assert (discriminator_loss(sure, -sure, loss) < 0.01).all()
    assert (discriminator_loss(-sure, sure, loss) > 7).all()
    assert (generator_loss(sure, loss) < generator_loss(-sure, loss)).all()


@BOTH
def test_losses_are_float32_whatever_the_logits_are(loss):
    assert discriminator_loss(torch.zeros(2).bfloat16(), torch.zeros(2).bfloat16(), loss).dtype == torch.float32
    assert generator_loss(torch.zeros(2).bfloat16(), loss).dtype == torch.float32
