import sys
from pathlib import Path

import pytest

from freqquest.benchmark import peak_memory
from freqquest.benchmark.peak_memory import peak_memories_mib, peak_memory_mib

HOLD_100_MIB = "import time; block = bytearray(b'x') * (100 * 2**20); time.sleep(1)"


@pytest.mark.parametrize("proc", ["/proc", "/missing"])
def test_the_peak_of_any_process_that_a_command_starts_counts(proc, monkeypatch):
    monkeypatch.setattr(peak_memory, "_PROC", Path(proc))
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD_100_MIB!r}])"
    assert 100 < peak_memory_mib([sys.executable, "-c", child]) < 200
    assert peak_memory_mib([sys.executable, "-c", "import time; time.sleep(0.3)"]) < 50


def test_a_command_that_fails_is_not_measured():
    with pytest.raises(RuntimeError, match="ended with code 1"):
        peak_memory_mib([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_peaks_are_told_by_kind_of_process():
    run = f"run(['ray::Worker.train (of a trial)', '-c', {HOLD_100_MIB!r}], executable=executable)"
    code = f"from subprocess import run; from sys import executable; {run}"
    peaks = peak_memories_mib([sys.executable, "-c", code])
    assert set(peaks) == {"driver", "Worker.train"}
    assert peaks["driver"] < 50
    assert peaks["Worker.train"] > 100
