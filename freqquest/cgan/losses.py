"""Losses of each clip, on logits, computed in float32. Shapes: B clips, M mel bands, T frames."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How wrong it is to take real clips `[B]` for real and generated ones `[B]` for generated: cross-entropy `[B]`.

    Each is the mean of both kinds. Source: Goodfellow et al., "Generative adversarial nets", 2014.
    """
    return (softplus(-real_logits.float()) + softplus(fake_logits.float())) / 2


def generator_loss(fake_logits: Tensor) -> Tensor:
    """How far generated clips `[B]` are from being taken for real: `[B]`, the non-saturating form of the same paper."""
    return softplus(-fake_logits.float())


def gradient_penalty(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Squared norm `[B]` of the logits' gradient at real images `[B, 1, M, T]`; half of it times a weight is R1.

    It keeps a discriminator that knows the few real clips from answering with a cliff at each of them.
    Source: Mescheder et al., "Which training methods for GANs do actually converge?", 2018.
    """
    images = images.detach().requires_grad_()
    logits = discriminator(images, labels)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    norms: Tensor = gradient.square().sum(dim=(1, 2, 3))
    return norms
