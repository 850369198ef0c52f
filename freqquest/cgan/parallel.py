"""Several processes that train one model: the same global batch, whatever their number. Knows nothing of Ray.

torch.distributed's process group must have been initialised where there is more than one process. Shapes: B clips of
this process, C channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process among all that train together."""

    rank: int = 0
    world_size: int = 1


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over all processes.

    One message for the whole network, after its backward pass. DistributedDataParallel would send while it computes,
    but wants one forward pass for each backward pass; a discriminator has several (real, generated, and again for the
    generator). These networks are small.
    """
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(message)
    parts = message.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(
        gradients, [part.view(gradient.shape) for part, gradient in zip(parts, gradients, strict=True)]
    )


def sum_over_workers(values: Tensor) -> Tensor:
    """The sum of each value over all processes."""
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the clips of all processes, on CPUs too (torch's SyncBatchNorm wants GPUs)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Activations `[B, C, H, W]`, normalised."""
        if not self.training or world_size() == 1:
            return super().forward(inputs)
        values = inputs.float()
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        count = torch.full_like(mean, values.numel() / values.shape[1])
        totals = all_reduce(torch.stack([count, count * mean, count * (variance + mean.square())]))
        count, mean = totals[0], totals[1] / totals[0]
        variance = totals[2] / count - mean.square()
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps)
        scale = self.weight * scale if self.affine else scale
        shift = (self.bias if self.affine else 0) - mean * scale
        return torch.addcmul(shift[:, None, None], values, scale[:, None, None]).to(inputs.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1
