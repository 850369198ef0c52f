"""Losses of each clip, on logits, computed in float32. Shapes: B clips."""

from torch import Tensor
from torch.nn.functional import relu, softplus

from freqquest.cgan.config import Loss


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, loss: Loss) -> Tensor:
    """How wrong it is to take real clips for real and generated ones for generated: `[B]`, for each such pair.

    `cross_entropy` is the recipe's, the mean of both (Goodfellow et al., "Generative adversarial nets", 2014); `hinge`
    is their sum, and asks for no more than a distance of 1 (Lim and Ye, "Geometric GAN", 2017).
    """
    real, fake = real_logits.float(), fake_logits.float()
    if loss == "hinge":
        return relu(1 - real) + relu(1 + fake)
    return (softplus(-real) + softplus(fake)) / 2


def generator_loss(fake_logits: Tensor, loss: Loss) -> Tensor:
    """How far generated clips are from being taken for real: `[B]`; for `cross_entropy`, the non-saturating form."""
    return -fake_logits.float() if loss == "hinge" else softplus(-fake_logits.float())
