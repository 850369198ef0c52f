"""CPU cores that this process may use: those of its affinity, and its control groups' quotas.

A container or a batch system may allow fewer cores than the machine has; each thread beyond them
only takes time from the others. No Ray.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/proc/self/cgroup")
_MOUNTS = Path("/sys/fs/cgroup")


def num_usable_cores() -> int:
    """Return the number of cores that this process may use, rounded down, at least 1."""
    return max(1, int(min([_num_allowed_cores(), *_quotas()])))


def _num_allowed_cores() -> int:
    """Return the cores that this process may be scheduled on. On macOS, these are all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Yield the limits, in cores, of all control groups that this process is in.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, `cpu.max`, and version 1's
    https://docs.kernel.org/scheduler/sched-bwc.html.
    """
    try:
        lines = _GROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            folders = [_MOUNTS, _MOUNTS / "unified"]
        elif "cpu" in controllers.split(","):
            folders = [_MOUNTS / controllers, _MOUNTS / "cpu"]
        else:
            continue
        # The limits of outer groups hold too. In a container, the path may be the host's.
        groups = [Path(path.lstrip("/")), *Path(path.lstrip("/")).parents]
        for folder in (mount / group for mount in folders for group in groups):
            if (quota := _quota(folder)) is not None:
                yield quota


def _quota(group: Path) -> float | None:
    """Return the limit of one control group, in cores; None if it has none."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError):  # "max" or no such group
        return None
    return cores if cores > 0 else None
