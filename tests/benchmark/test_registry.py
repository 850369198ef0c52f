import subprocess
import sys
from importlib import import_module

import pytest

from freqquest.benchmark.registry import BENCHMARKS

IMPORT = """
import sys
import freqquest.benchmark.registry
print(*{"keras", "numpy", "pandas", "ray", "tensorflow", "torch"} & set(sys.modules))
"""


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_has_its_function(name):
    benchmark = BENCHMARKS[name]
    assert callable(getattr(import_module(benchmark.module), benchmark.function))


def test_the_registry_imports_no_framework():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
