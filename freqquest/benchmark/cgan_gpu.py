"""Use of the GPU by a training: memory, and operations relative to the GPU's peak."""

import statistics
from typing import TypedDict

import torch

from freqquest.benchmark.cgan_runs import FreqquestRun, Run
from freqquest.benchmark.gpu_speed import measure_peak
from freqquest.benchmark.roofline import count_work
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
        "share_of_peak": flops_per_s / measure_peak(torch.device("cuda")).flops_per_s,
    }


def flops_per_clip(run: Run) -> float:
    """Return the operations of convolutions and matrix products in training, on any device.

    The steps that are counted include the R1 penalty's share, and none of them is replayed.
    """
    if isinstance(run, FreqquestRun):
        run.trainer.use_graphs(None)
    num_clips = 0

    def train() -> None:
        nonlocal num_clips
        num_clips = run(PENALTY_EVERY)

    return count_work(train).flops / num_clips
