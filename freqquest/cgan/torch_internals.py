"""Private APIs of torch, in one place. Checked with torch 2.11.0.

Names that torch neither documents nor promises to keep; tests/cgan/test_torch_internals.py fails
when one of them changes. torch only. Shapes: C channels.
"""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

CHECKED_VERSION = "2.11.0"


def cpu_computes_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16; emulation is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def skip_next_step(optimizer: torch.optim.Optimizer, skipped: Tensor) -> None:
    """Make the next step of a fused optimizer do nothing if `skipped`, a scalar, is true.

    The optimizer's kernel reads the value on the device, so nothing waits for it. A gradient scaler
    sets the same attribute.
    """
    optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]


def abandon_capture(
    graph: torch.cuda.CUDAGraph, device: torch.device, pool: tuple[int, int]
) -> None:
    """End a failed capture of a CUDA graph, so that plain steps can follow.

    torch's own end of a capture stops at the first error, and leaves memory and random generator of
    the device in the state of a capture.
    """
    with suppress(RuntimeError):
        graph.capture_end()
    with suppress(RuntimeError):  # if the above ended this already
        torch._C._cuda_endAllocateToPool(device.index, pool)
        torch._C._cuda_releasePool(device.index, pool)
    generator = torch.cuda.default_generators[device.index]
    generator.graphsafe_set_state(generator.clone_state())


def copy_each(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors into others of the same shapes, all in one kernel."""
    torch._foreach_copy_(list(targets), list(sources))


def batch_statistics(inputs: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return mean `[C]` and unbiased variance `[C]` of activations `[B, C, H, W]`.

    Batch normalization computes them on its way. General sums over channels-last activations take
    a CPU ten times as long.
    """
    mean, variance = torch.zeros(2, inputs.shape[1], device=inputs.device)
    torch.native_batch_norm(inputs, None, None, mean, variance, True, 1.0, eps)
    return mean, variance


def normalize(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
) -> Tensor:
    """Return activations `[B, C, H, W]`, normalized by mean `[C]` and variance `[C]`."""
    return torch.native_batch_norm(inputs, weight, bias, mean, variance, False, 0.0, eps)[0]


def normalize_backward(
    gradient: Tensor, inputs: Tensor, weight: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `normalize` by inputs, weight `[C]` and bias `[C]`."""
    scale = torch.rsqrt(variance + eps)
    # For channels-last activations, a GPU reads mean and scale, and a CPU mean and variance.
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        gradient, inputs, weight, mean, variance, mean, scale, False, eps, [True, True, True]
    )
    return gradients
