"""Peak memory of a command and all processes that it starts."""

import subprocess
import time
from pathlib import Path

import psutil

_INTERVAL_S = 0.2
_PROC = Path("/proc")


def peak_memory_mib(command: list[str]) -> float:
    """Run a command and return the highest peak of any of its processes, in MiB.

    Counts resident memory, shared pages included. Linux records each process's peak. Elsewhere
    memory is sampled every 0.2 s, so short peaks can be missed.

    Raises:
        RuntimeError: The command failed.
    """
    peak_bytes = 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak_bytes = max([peak_bytes, *map(_peak_bytes, _family(process.pid))])
        time.sleep(_INTERVAL_S)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return peak_bytes / 2**20


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants, or nothing if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _peak_bytes(process: psutil.Process) -> int:
    """Return the peak that Linux recorded, else what the process uses now."""
    try:
        for line in (_PROC / str(process.pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 2**10
    except OSError:
        pass  # not Linux, or the process has ended
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
