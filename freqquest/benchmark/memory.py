"""Peak memory of a command and all its processes. Linux only, by /proc."""

import subprocess
import time
from pathlib import Path

_INTERVAL_S = 0.2


def peak_memory_mib(command: list[str]) -> float:
    """Run a command; the largest peak that any of its processes had, in MiB (resident, shared pages included).

    Raises:
        RuntimeError: The command failed.
    """
    peaks: dict[int, int] = {}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        for pid in _family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _peak_kib(pid))
        time.sleep(_INTERVAL_S)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return max(peaks.values()) / 1024


def _family(root: int) -> list[int]:
    """A process and all that it started, at any depth."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        parent = _status(folder, "PPid")
        if parent is not None:
            children.setdefault(parent, []).append(int(folder.name))
    family, index = [root], 0
    while index < len(family):
        family += children.get(family[index], [])
        index += 1
    return family


def _peak_kib(pid: int) -> int:
    return _status(Path(f"/proc/{pid}"), "VmHWM") or 0


def _status(folder: Path, name: str) -> int | None:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:  # it has ended
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
