"""Losses of each clip, computed from logits in float32. torch only.

Shapes: B clips, M mel bands, T frames.
"""

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.functional import softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the cross-entropy `[B]` of real clips `[B]` as real and generated ones `[B]` as fake.

    Each value is the mean of both. Source: Goodfellow et al., "Generative adversarial nets", 2014.
    """
    return (softplus(-real_logits.float()) + softplus(fake_logits.float())) / 2


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the cross-entropy `[B]` of generated clips `[B]` as real.

    This is the non-saturating loss of the same paper.
    """
    return softplus(-fake_logits.float())


def gradient_penalty(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the squared norm `[B]` of the logits' gradient at real images `[B, 1, M, T]`.

    Half of it, times a weight, is the R1 penalty, which keeps a discriminator that memorizes the
    few real clips from forming a cliff around each of them.
    Source: Mescheder et al., "Which training methods for GANs do actually converge?", 2018.
    """
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images, labels).sum(), images)
    # The slope along the gradient is the squared norm, and changes with the weights half as fast.
    # Its derivative is a plain backward pass. That of the gradient itself would have convolutions
    # with kernels as large as the maps; one took an H100 twice as long as all else in a step.
    with forward_ad.dual_level():
        moving = forward_ad.make_dual(images.detach(), gradient)  # type: ignore[no-untyped-call]
        logits = discriminator(moving, labels)
        slopes: Tensor = forward_ad.unpack_dual(logits).tangent  # type: ignore[no-untyped-call]
    return 2 * slopes - slopes.detach()
