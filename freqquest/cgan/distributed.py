"""Layers and sums for several processes that train one model on the same batches as one would.

torch only, no Ray. If there is more than one process, torch.distributed's process group must have
been initialized. Shapes: B clips of this process, C channels, H x W a map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from freqquest.cgan import torch_internals


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One of the processes that train together."""

    rank: int = 0
    world_size: int = 1


def world_size() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


COMMUNICATE_ALONE = False
"""True lets a group of one process communicate as several do, for checks on a single GPU."""


def communicates() -> bool:
    """Return whether this process exchanges values with others in each step."""
    return world_size() > 1 or COMMUNICATE_ALONE


def sum_gradients(network: nn.Module) -> None:
    """Replace each gradient by its sum over all processes, except the sums of `WideLinear`.

    Sends one message for the whole network, after its backward pass. DistributedDataParallel would
    overlap sending and computing, but requires one forward pass per backward pass; a discriminator
    has several (real, generated, and generated again for the generator). These networks are small.
    """
    if not communicates():
        return
    summed = {
        id(value)
        for layer in network.modules()
        if isinstance(layer, WideLinear)
        for value in layer.parameters()
    }
    all_gradients = (value.grad for value in network.parameters() if id(value) not in summed)
    gradients = [gradient for gradient in all_gradients if gradient is not None]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(message)
    sums = torch.split(message, [gradient.numel() for gradient in gradients])
    torch_internals.copy_each(
        gradients,
        [total.view(gradient.shape) for total, gradient in zip(sums, gradients, strict=True)],
    )


def sum_over_workers(values: Tensor) -> Tensor:
    """Return the sum of each of a few values over all processes.

    Every process adds up all values itself: on CPUs, sending dominates the time of a small message,
    and all_reduce sends two.
    """
    if not communicates():
        return values
    gathered = values.new_empty(world_size() * len(values), *values.shape[1:])
    distributed.all_gather_into_tensor(gathered, values)
    return gathered.view(world_size(), *values.shape).sum(dim=0)


def from_first_worker(content: bytes | None) -> bytes | None:
    """Return the content that the process of rank 0 passes, in all processes.

    Only that process needs to see the storage, and all of them start from the same state.
    """
    box = [content]
    if world_size() > 1:
        distributed.broadcast_object_list(box)
    return box[0]


def first_problem(problem: str | None) -> str | None:
    """Return the first of the problems that the processes pass, in all processes."""
    problems = [problem]
    if world_size() > 1:
        problems = [None] * world_size()
        distributed.all_gather_object(problems, problem)
    return next((each for each in problems if each is not None), None)


class WideLinear(nn.Linear):
    """Linear layer with many more weights than a batch has values.

    Each process computes the whole batch and so has the whole gradient. Processes exchange inputs
    and gradients of outputs, `B (in + out)` values, instead of `in * out` weights. This takes no
    longer, because reading the weights takes longer than computing with them.
    """

    _max_rows: int | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map rows `[B, in]` of this process, equally many in each step, to `[B, out]`."""
        if not self.training or not communicates():
            return super().forward(inputs)
        if self._max_rows is None:  # computed once, because reading it waits for the device
            num_rows = torch.tensor(len(inputs), device=inputs.device)
            distributed.all_reduce(num_rows, distributed.ReduceOp.MAX)
            self._max_rows = int(num_rows)
        all_rows: Tensor = _GatherRows.apply(  # type: ignore[no-untyped-call]
            inputs, self._max_rows
        )
        outputs: Tensor = _SelectRows.apply(  # type: ignore[no-untyped-call]
            super().forward(all_rows), len(inputs)
        )
        return outputs


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, padded with zeros to equal numbers; backward selects its own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, max_rows: int) -> Tensor:
        ctx.num_rows = len(rows)
        return _gather(rows, max_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _select(gradient, ctx.num_rows), None


class _SelectRows(torch.autograd.Function):
    """The process's own rows among those of all; backward gathers all rows."""

    @staticmethod
    def forward(ctx: Any, all_rows: Tensor, num_rows: int) -> Tensor:
        ctx.max_rows = len(all_rows) // world_size()
        return _select(all_rows, num_rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _gather(gradient, ctx.max_rows), None


def _gather(rows: Tensor, max_rows: int) -> Tensor:
    padded = functional.pad(rows, (0, 0, 0, max_rows - len(rows))).contiguous()
    all_rows = padded.new_empty(world_size() * max_rows, rows.shape[1])
    distributed.all_gather_into_tensor(all_rows, padded)
    return all_rows


def _select(all_rows: Tensor, num_rows: int) -> Tensor:
    start = distributed.get_rank() * (len(all_rows) // world_size())
    return all_rows[start : start + num_rows].clone()


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over the clips of all processes; torch's SyncBatchNorm requires GPUs."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize activations `[B, C, H, W]`."""
        if not self.training or not communicates():
            return super().forward(inputs)
        normalized, mean, variance = _SharedNormalization.apply(  # type: ignore[no-untyped-call]
            inputs, self.weight, self.bias, self.eps
        )
        self._update_running_statistics(mean, variance)
        outputs: Tensor = normalized
        return outputs

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class _SharedNormalization(torch.autograd.Function):
    """Normalization by mean and variance over the clips of all processes.

    torch's kernels take these as if they were running statistics, which is faster than general
    operations. The gradient is that of Ioffe and Szegedy, "Batch normalization", 2015.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalized activations `[B, C, H, W]`, mean `[C]`, and unbiased variance `[C]`."""
        mean, variance = torch_internals.batch_statistics(inputs, eps)
        local_count = inputs.numel() / inputs.shape[1]
        # In double precision: the difference of mean square and squared mean is small.
        mean, variance = mean.double(), variance.double() * (local_count - 1) / local_count
        totals = sum_over_workers(
            torch.stack(
                [
                    torch.full_like(mean, local_count),
                    local_count * mean,
                    local_count * (variance + mean.square()),
                ]
            )
        )
        count, mean = totals[0].float(), totals[1] / totals[0]
        mean, variance = mean.float(), (totals[2] / totals[0] - mean.square()).clamp(min=0).float()
        ctx.save_for_backward(inputs, weight, mean, variance, count)
        ctx.eps = eps
        outputs = torch_internals.normalize(inputs, weight, bias, mean, variance, eps)
        unbiased = variance * count / (count - 1)
        ctx.mark_non_differentiable(mean, unbiased)
        return outputs, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        """Return gradients by inputs, and this process's share of those by weight and bias."""
        inputs, weight, mean, variance, count = ctx.saved_tensors
        inverse_deviation = torch.rsqrt(variance + ctx.eps)
        scale = torch.ones_like(mean) if weight is None else weight
        direct, by_scale, by_shift = torch_internals.normalize_backward(
            gradient, inputs, scale, mean, variance, ctx.eps
        )
        totals = sum_over_workers(torch.stack([by_scale, by_shift]))
        # Mean and variance depend on the inputs too.
        slope, shift = -scale * inverse_deviation * totals / count
        indirect = torch_internals.normalize(inputs, slope, shift, mean, variance, ctx.eps)
        return direct + indirect, *((None, None) if weight is None else (by_scale, by_shift)), None
