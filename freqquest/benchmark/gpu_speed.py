"""Speed of training steps on a GPU, and what limits it. torch alone, no Ray."""

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from freqquest.benchmark.gpu_training import CONFIGS, Mode, PackedTraining
from freqquest.benchmark.roofline import Peak, StepWork, count_work
from freqquest.cgan.epoch import silent_inputs
from freqquest.cgan.graphs import CudaCapturer
from freqquest.cgan.packed_clips import PackedClips
from freqquest.cgan.trainer import PENALTY_EVERY

_WARM_UP = 4 * PENALTY_EVERY
"""Untimed steps, in which memory is allocated, kernels are chosen, and steps are captured."""

_NUM_RUNS = 3
"""Timed runs, of which the median counts."""


class Speed(TypedDict):
    """Measurements of one way to train."""

    networks: str
    batch_size: int
    mode: Mode
    clips_per_s: float
    step_ms: float
    gpu_busy: float | None
    """Time of kernels over wall time."""
    memory_mib: float | None
    """Peak of the process's tensors."""
    gflop_per_clip: float
    share_of_peak: float
    least_step_ms: float
    """Bound by the roofline of each operation."""
    least_fused_step_ms: float
    """The same as if only convolutions and matrix products took time."""
    obstacle: str | None
    """Reason why steps were not replayed."""


def measure_speed(
    source: PackedClips,
    networks: str,
    batch_size: int,
    mode: Mode,
    *,
    num_steps: int,
    device: torch.device,
    peak: Peak,
    work: StepWork,
) -> Speed:
    """Train for some steps, and measure them.

    Args:
        source: Clips.
        networks: Name of one of CONFIGS.
        batch_size: Clips in a step.
        mode: Way to run a step.
        num_steps: Steps of each timed run; a multiple of eight has its fair share of penalties.
        device: Device to train on.
        peak: Its limits.
        work: Work of a step, from `count_step_work`.
    """
    is_gpu = device.type == "cuda"
    gc.collect()  # earlier trainings
    config = dataclasses.replace(CONFIGS[networks], batch_size=batch_size)
    training = PackedTraining(source, config, device, mode)
    if is_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    training.run(_WARM_UP)
    seconds = statistics.median(_time(training, num_steps) for _ in range(_NUM_RUNS))
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if is_gpu else None
    return {
        "networks": networks,
        "batch_size": batch_size,
        "mode": mode,
        "clips_per_s": num_steps * batch_size / seconds,
        "step_ms": 1000 * seconds / num_steps,
        "gpu_busy": _kernel_seconds(training, num_steps) / seconds if is_gpu else None,
        "memory_mib": memory,
        "gflop_per_clip": work.flops / batch_size / 1e9,
        "share_of_peak": work.flops * num_steps / seconds / peak.flops_per_s,
        "least_step_ms": 1000 * work.seconds(peak, fused=False),
        "least_fused_step_ms": 1000 * work.seconds(peak, fused=True),
        "obstacle": training.trainer.obstacle if is_gpu else None,
    }


def _time(training: PackedTraining, num_steps: int) -> float:
    """Return the seconds of some steps, which end with a wait for the device."""
    started = time.perf_counter()
    training.run(num_steps)
    return time.perf_counter() - started


def _kernel_seconds(training: PackedTraining, num_steps: int) -> float:
    """Return the time of all kernels of some steps; the profiler slows what lies between them."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        training.run(num_steps)
    return float(sum(event.device_time_total for event in profiler.key_averages()) / 1e6)


def count_step_work(
    source: PackedClips, networks: str, batch_size: int, device: torch.device
) -> StepWork:
    """Return the work of an average step: one in eight has a penalty.

    It is that of plain steps: compiled code and replays hide their operations.
    """
    config = dataclasses.replace(CONFIGS[networks], batch_size=batch_size)
    trainer = PackedTraining(source, config, device, "plain").trainer
    inputs = silent_inputs(trainer)
    if trainer.cgan_config.r1 == 0:
        return count_work(lambda: trainer.update(inputs, has_penalty=False))
    without, with_penalty = (
        count_work(lambda has=has: trainer.update(inputs, has_penalty=has))  # type: ignore[misc]
        for has in (False, True)
    )
    return without.mixed(with_penalty, 1 / PENALTY_EVERY)


def measure_peak(device: torch.device) -> Peak:
    """Measure a device's limits: a large product, a large copy, and additions of a few values."""
    is_gpu = device.type == "cuda"
    size = 8192 if is_gpu else 256
    left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
    source = torch.zeros(2**26 if is_gpu else 2**20, device=device)
    target = torch.zeros_like(source)
    few = torch.zeros(16, device=device)
    return Peak(
        flops_per_s=2 * size**3 / _seconds(lambda: left @ right, device),
        bytes_per_s=2 * source.nbytes / _seconds(lambda: target.copy_(source), device),
        seconds_per_call=_seconds(lambda: few.add_(1), device),
    )


def _seconds(operation: Callable[[], Tensor], device: torch.device, count: int = 100) -> float:
    """Return the time of an operation among many, as part of a CUDA graph if there is a GPU."""

    def repeat() -> None:
        for _ in range(count):
            operation()

    if device.type != "cuda":
        started = time.perf_counter()
        repeat()
        return (time.perf_counter() - started) / count
    capturer = CudaCapturer(device)
    capturer.run(repeat)
    replay = capturer.capture(repeat)
    replay()
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    replay()
    torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / count
