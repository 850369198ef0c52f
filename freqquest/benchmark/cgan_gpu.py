"""Use of the GPU by a training: memory, and operations relative to the GPU's peak."""

import statistics
from typing import Self, TypedDict

import torch
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from freqquest.benchmark.cgan_runs import Run
from freqquest.cgan.trainer import PENALTY_EVERY


class GpuUse(TypedDict):
    """Use of the GPU by one run."""

    peak_memory_mib: float
    """Peak above the networks and clips."""
    share_of_peak: float
    """Operations per second, relative to those of a large bfloat16 matrix product."""


def measure_gpu_use(run: Run, speeds: list[float]) -> GpuUse:
    """Return a run's use of the GPU, given its measured clips per second."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    flops_per_s = flops_per_clip(run) * statistics.median(speeds)
    return {
        "peak_memory_mib": (torch.cuda.max_memory_allocated() - before) / 2**20,
        "share_of_peak": flops_per_s / _peak_flops_per_s(),
    }


def flops_per_clip(run: Run) -> float:
    """Return the operations of convolutions and matrix products in training, on any device.

    The steps that are counted include the R1 penalty's share.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()
    with counter:
        num_clips = run(PENALTY_EVERY)
    return counter.get_total_flops() / num_clips


class _NoModules(ModuleTracker):
    """A tracker without hooks: torch's fail where the penalty calls `autograd.grad`.

    It would tell which module computes, so that operations can be listed by module.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _peak_flops_per_s(size: int = 8192, num_products: int = 20) -> float:
    left, right = torch.randn(2, size, size, device="cuda", dtype=torch.bfloat16)
    torch.mm(left, right)
    start, end = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    start.record()
    for _ in range(num_products):
        torch.mm(left, right)
    end.record()
    torch.cuda.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return num_products * 2 * size**3 / (milliseconds / 1000)
