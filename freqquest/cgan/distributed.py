"""Several processes that train one model: the same global batch, whatever their number. Knows nothing of Ray.

torch.distributed's process group must have been initialized where there is more than one process. Shapes: B clips of
this process, C channels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process among all that train together."""

    rank: int = 0
    world_size: int = 1


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def sum_gradients(network: nn.Module) -> None:
    """Replace each gradient by its sum over all processes, but for those of `WideLinear`, which are sums already.

    One message for the whole network, after its backward pass. DistributedDataParallel would send while it computes,
    but wants one forward pass for each backward pass; a discriminator has several (real, generated, and again for the
    generator). These networks are small.
    """
    if world_size() == 1:
        return
    summed = {
        id(value)
        for part in network.modules()
        if isinstance(part, WideLinear)
        for value in part.parameters()
    }
    parts = (value.grad for value in network.parameters() if id(value) not in summed)
    gradients = [gradient for gradient in parts if gradient is not None]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(message)
    sums = message.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(
        gradients,
        [total.view(gradient.shape) for total, gradient in zip(sums, gradients, strict=True)],
    )


def sum_over_workers(values: Tensor) -> Tensor:
    """The sum of each value over all processes, for a few values.

    Every process adds all up itself: on CPUs, a small message takes its time for being sent, and all_reduce sends two.
    """
    if world_size() == 1:
        return values
    everyones = values.new_empty(world_size() * len(values), *values.shape[1:])
    distributed.all_gather_into_tensor(everyones, values)
    return everyones.view(world_size(), *values.shape).sum(dim=0)


def from_first_worker(content: bytes | None) -> bytes | None:
    """What the process of rank 0 gives, in all of them: only it need see the storage, and none starts elsewhere."""
    box = [content]
    if world_size() > 1:
        distributed.broadcast_object_list(box)
    return box[0]


class WideLinear(nn.Linear):
    """A linear layer with far more weights than a batch has values, computed for the whole batch in each process.

    So each has the whole gradient, and inputs and outputs' gradients go from one to the other, `B (in + out)` values,
    instead of `in * out`. As such a layer reads its weights longer than it computes, it takes no longer.
    """

    _most_rows: int | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows `[B, in]` of this process, as many in each step, to `[B, out]`."""
        if not self.training or world_size() == 1:
            return super().forward(inputs)
        if self._most_rows is None:  # asked once, as reading it waits for the device
            num_rows = torch.tensor(len(inputs), device=inputs.device)
            distributed.all_reduce(num_rows, distributed.ReduceOp.MAX)
            self._most_rows = int(num_rows)
        all_clips: Tensor = _AllRows.apply(inputs, self._most_rows)
        outputs: Tensor = _OwnRows.apply(super().forward(all_clips), len(inputs))
        return outputs


class _AllRows(torch.autograd.Function):
    """All processes' rows, those of a process with fewer filled up with zeros; back: the own ones."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, most: int) -> Tensor:
        ctx.num_own = len(own)
        return _gather(own, most)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _take_own(gradient, ctx.num_own), None


class _OwnRows(torch.autograd.Function):
    """Of all processes' rows, the own ones; back: all."""

    @staticmethod
    def forward(ctx: Any, all_clips: Tensor, num_own: int) -> Tensor:
        ctx.most = len(all_clips) // world_size()
        return _take_own(all_clips, num_own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _gather(gradient, ctx.most), None


def _gather(own: Tensor, most: int) -> Tensor:
    padded = functional.pad(own, (0, 0, 0, most - len(own))).contiguous()
    all_clips = padded.new_empty(world_size() * most, own.shape[1])
    distributed.all_gather_into_tensor(all_clips, padded)
    return all_clips


def _take_own(all_clips: Tensor, num_own: int) -> Tensor:
    start = distributed.get_rank() * (len(all_clips) // world_size())
    return all_clips[start : start + num_own].clone()


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over the clips of all processes, on CPUs too (torch's SyncBatchNorm wants GPUs)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Activations `[B, C, H, W]`, normalized."""
        if not self.training or world_size() == 1:
            return super().forward(inputs)
        normalized, mean, variance = _SharedNormalization.apply(
            inputs, self.weight, self.bias, self.eps
        )
        self._remember(mean, variance)
        outputs: Tensor = normalized
        return outputs

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class _SharedNormalization(torch.autograd.Function):
    """Normalize by mean and variance over the clips of all processes.

    torch's own kernels do the work, told these figures as if they were running ones: general sums over channels-last
    activations take a CPU ten times as long. The gradient is that of Ioffe and Szegedy, "Batch normalization", 2015.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Activations `[B, C, H, W]`, normalized; mean `[C]`, and variance `[C]` as running statistics want it."""
        mean, variance = torch.zeros(2, inputs.shape[1], device=inputs.device)
        torch.native_batch_norm(inputs, None, None, mean, variance, True, 1.0, eps)
        own = inputs.numel() / inputs.shape[1]
        # Whole numbers and squares in double precision, as their differences are small.
        mean, variance = mean.double(), variance.double() * (own - 1) / own
        totals = sum_over_workers(
            torch.stack([torch.full_like(mean, own), own * mean, own * (variance + mean.square())])
        )
        count, mean = totals[0].float(), totals[1] / totals[0]
        mean, variance = mean.float(), (totals[2] / totals[0] - mean.square()).clamp(min=0).float()
        ctx.save_for_backward(inputs, weight, mean, variance, count)
        ctx.eps = eps
        outputs = torch.native_batch_norm(inputs, weight, bias, mean, variance, False, 0.0, eps)[0]
        unbiased = variance * count / (count - 1)
        ctx.mark_non_differentiable(mean, unbiased)
        return outputs, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        """Gradients by activations, and this process's part of those by weight and bias."""
        inputs, weight, mean, variance, count = ctx.saved_tensors
        steepness = torch.rsqrt(variance + ctx.eps)
        scale = torch.ones_like(mean) if weight is None else weight
        direct, by_scale, by_shift = torch.ops.aten.native_batch_norm_backward(
            gradient, inputs, scale, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        totals = sum_over_workers(torch.stack([by_scale, by_shift]))
        # Mean and variance depend on the activations too.
        slope, shift = -scale * steepness * totals / count
        indirect = torch.native_batch_norm(
            inputs, slope, shift, mean, variance, False, 0.0, ctx.eps
        )[0]
        return direct + indirect, *((None, None) if weight is None else (by_scale, by_shift)), None
