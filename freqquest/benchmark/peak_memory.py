"""Peak memory of a command and all processes that it starts."""

import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

_INTERVAL_S = 0.2
_PROC = Path("/proc")
_WORKER = "ray::"
"""Begin of the titles of Ray's workers."""


def peak_memory_mib(command: list[str]) -> float:
    """Run a command and return the highest peak of any of its processes, in MiB.

    Counts resident memory, shared pages included. Linux records each process's peak. Elsewhere
    memory is sampled every 0.2 s, so short peaks can be missed.

    Raises:
        RuntimeError: The command failed.
    """
    return max(peak_memories_mib(command).values(), default=0.0)


def peak_memories_mib(command: list[str]) -> dict[str, float]:
    """Run a command and return the highest peak of each kind of process, as `peak_memory_mib` does.

    Returns:
        Peaks in MiB, by kind: `driver` is the command itself, workers of Ray have their titles, and
        all other processes are `others`. A process that changes its title keeps its peak.

    Raises:
        RuntimeError: The command failed.
    """
    peaks: dict[str, int] = {}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        for each in _family(process.pid):
            kind = "driver" if each.pid == process.pid else _kind(each)
            peaks[kind] = max(peaks.get(kind, 0), _peak_bytes(each))
        time.sleep(_INTERVAL_S)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return {kind: num_bytes / 2**20 for kind, num_bytes in peaks.items()}


def _kind(process: psutil.Process) -> str:
    """Return the title that Ray gives to a worker, without the names of its task."""
    with suppress(psutil.Error):
        title = " ".join(process.cmdline())
        if title.startswith(_WORKER):
            return re.split(r"[^\w:.]", title.removeprefix(_WORKER))[0] or "worker"
    return "others"


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
