"""Training devices: their arithmetic, threads, names and copies. torch only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from freqquest.cgan import torch_internals


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch_internals.cpu_computes_bfloat16()


def use_fast_kernels(device: torch.device, *, enabled: bool) -> None:
    """On a GPU, enable or disable TensorFloat32 and the choice of convolutions by trial.

    TensorFloat32 rounds the factors of float32 products.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if enabled else "highest")
        torch.backends.cudnn.allow_tf32 = enabled
        torch.backends.cudnn.benchmark = enabled


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use this number of threads in this process, until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def copy_to_host(value: Any) -> Any:
    """Return a copy of nested tensors in the memory of the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: copy_to_host(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copy_to_host(part) for part in value)
    return value
