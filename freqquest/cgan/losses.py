"""The recipe's losses: binary cross-entropy on logits, computed in float32. Shapes: B clips."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean over both halves of calling real clips `[B]` real and generated ones `[B]` fake; a scalar."""
    return (_cross_entropy(real_logits, 1.0) + _cross_entropy(fake_logits, 0.0)) / 2


def generator_loss(fake_logits: Tensor) -> Tensor:
    """How far generated clips `[B]` are from being called real (the non-saturating form); a scalar.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
    """
    return _cross_entropy(fake_logits, 1.0)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    logits = logits.float()
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
