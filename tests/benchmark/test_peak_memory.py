import sys

import pytest

from freqquest.benchmark.memory import peak_memory_mib

HOLD_100_MIB = "import time; block = bytearray(b'x') * (100 * 2**20); time.sleep(0.5)"


def test_the_peak_of_any_process_that_a_command_starts_is_seen():
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD_100_MIB!r}])"
    assert 100 < peak_memory_mib([sys.executable, "-c", child]) < 200
    assert peak_memory_mib([sys.executable, "-c", "import time; time.sleep(0.3)"]) < 50


def test_a_command_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="ended with code 1"):
        peak_memory_mib([sys.executable, "-c", "raise SystemExit('no such thing')"])
