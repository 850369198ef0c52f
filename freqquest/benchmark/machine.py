"""The machine that is measured: its hardware, and the cores that this process can be bound to."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import psutil

from freqquest.cluster.cores import num_usable_cores

_CPU_INFO = Path("/proc/cpuinfo")


class Hardware(TypedDict):
    """Everything that timings depend on."""

    processor: str
    cores: int
    memory_gib: int
    python: str


def describe_hardware() -> Hardware:
    """Return a description of this machine."""
    return {
        "processor": _processor_name(),
        "cores": num_usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }


def usable_cores() -> list[int]:
    """Return the cores that this process may run on: all, where no process can be bound to some."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def can_bind_to_cores() -> bool:
    """Return whether this platform can bind processes to cores. macOS cannot."""
    return hasattr(os, "sched_setaffinity")


def bind_to_cores(cores: Iterable[int]) -> None:
    """Bind this process, and what it starts from now on, to cores, where the platform can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _processor_name() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if "model name" in line:
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
