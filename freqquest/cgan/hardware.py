"""Speed of a training, load of its hardware, and what limits it.

torch; pynvml where there is a GPU. No Ray.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import psutil
import torch

from freqquest.cgan.devices import device_name
from freqquest.cgan.distributed import world_size
from freqquest.cgan.epoch import EpochMetrics
from freqquest.runs.metrics import HardwareMetrics

_NVML_INTERVAL_S = 1.0
"""Shortest time between two readings of NVML, which itself averages over up to a second."""

_MIB = 2**20

_MAX_LOADER_SHARE = 0.2
"""Share of the time spent waiting for clips, above which the loader is the limit."""

_MIN_LAUNCH_SHARE, _MAX_BUSY = 0.5, 0.7
"""Launches are the limit if they take at least this share and the GPU is at most this busy."""


class HardwareMonitor:
    """Readings of this process's memory and of its GPU, taken when an epoch ends.

    ```python
    monitor = HardwareMonitor(torch.device("cuda"))
    monitor.read()  # {"process_mib": ..., "gpu_mib": ..., "gpu_busy": ..., "gpu_power_w": ...}
    ```
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._readers = _nvml_readers(device) if device.type == "cuda" else {}
        self._load: EpochMetrics = {}
        self._next_time = 0.0

    def read(self) -> EpochMetrics:
        """Return the readings that this machine gives.

        Returns:
            `process_mib`; on a GPU also `gpu_mib`, the most memory that tensors have taken, and by
            NVML `gpu_busy`, the share of the last second or less in which a kernel ran, and
            `gpu_power_w`.
        """
        readings = {"process_mib": psutil.Process().memory_info().rss / _MIB}
        if self._device.type == "cuda":
            readings["gpu_mib"] = torch.cuda.max_memory_allocated(self._device) / _MIB
        if self._readers and time.monotonic() >= self._next_time:
            self._load = self._read_nvml()
            self._next_time = time.monotonic() + _NVML_INTERVAL_S
        return readings | self._load

    def _read_nvml(self) -> EpochMetrics:
        """Return what NVML gives, and stop asking for what it does not."""
        load = {}
        for name, reader in list(self._readers.items()):
            try:
                load[name] = reader()
            except Exception as error:  # no permission, not supported, driver lost
                print(f"NVML does not give {name}: {error}", file=sys.stderr)
                del self._readers[name]
        return load


def _nvml_readers(device: torch.device) -> dict[str, Callable[[], float]]:
    """Return functions that read a GPU's load by NVML; none if it cannot be used."""
    try:
        import pynvml  # its import alone is light, but no CPU needs it

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception as error:  # no driver's library in the container, or part of a GPU (MIG)
        print(f"GPU busy share and power are not available: {error}", file=sys.stderr)
        return {}
    return {
        "gpu_busy": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        "gpu_power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }


def describe_hardware(history: Sequence[EpochMetrics], device: torch.device) -> HardwareMetrics:
    """Return the speed and the load of a training, medians over its epochs, and what limits it.

    Args:
        history: Metrics of all epochs, of the process of rank 0.
        device: Device of this process.
    """
    medians = {name: _median(history, name) for name in _MEDIANS}
    peaks = {name: _peak(history, name) for name in ("process_mib", "gpu_mib")}
    is_gpu = device.type == "cuda"
    limit, hint = find_limit(
        loader_share=medians["loader_share"],
        launch_share=medians["launch_share"],
        gpu_busy=medians["gpu_busy"],
        is_gpu=is_gpu,
    )
    return {
        "device": device_name(device),
        "gpu_total_mib": _total_mib(device) if is_gpu else None,
        "num_workers": world_size(),
        "num_threads": torch.get_num_threads(),
        **medians,  # type: ignore[typeddict-item]
        **peaks,
        "limit": limit,
        "hint": hint,
    }


_MEDIANS = (
    *("clips_per_s", "step_ms", "loader_share", "launch_share", "device_share"),
    *("gpu_busy", "gpu_power_w"),
)


def find_limit(
    *, loader_share: float | None, launch_share: float | None, gpu_busy: float | None, is_gpu: bool
) -> tuple[str | None, str | None]:
    """Return what limits the speed, and a hint if more memory or a larger batch would help.

    Args:
        loader_share: Share of the time in which the training waits for clips.
        launch_share: Share in which its Python runs: on a GPU, it launches kernels.
        gpu_busy: Share in which the GPU runs a kernel, if known.
        is_gpu: Whether it trains on a GPU.

    Returns:
        `loader`, `launches`, `kernels`, `computing` (on a CPU), or None if it cannot be told.
    """
    if loader_share is None or launch_share is None:
        return None, None
    if loader_share > _MAX_LOADER_SHARE:
        return "loader", (
            f"training waits for clips {loader_share:.0%} of the time: they do not fit into memory "
            "and are read again in each epoch; give each worker more memory or cores"
        )
    if not is_gpu:
        return "computing", None
    if launch_share < _MIN_LAUNCH_SHARE:
        return "kernels", None
    if gpu_busy is None:  # a full queue makes launches wait for kernels
        return None, None
    if gpu_busy > _MAX_BUSY:
        return "kernels", None
    return "launches", (
        f"the GPU is busy {gpu_busy:.0%} of the time, because launching its work from Python takes "
        "longer: a batch size of auto trains faster, but another model"
    )


def _median(history: Sequence[EpochMetrics], name: str) -> float | None:
    values = _known(history, name)
    return statistics.median(values) if values else None


def _peak(history: Sequence[EpochMetrics], name: str) -> float | None:
    return max(_known(history, name), default=None)


def _known(history: Sequence[EpochMetrics], name: str) -> list[float]:
    return [row[name] for row in history if name in row and math.isfinite(row[name])]


def _total_mib(device: torch.device) -> float:
    return torch.cuda.get_device_properties(device).total_memory / _MIB
