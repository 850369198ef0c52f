import json

import pytest

from freqquest.benchmark import start
from freqquest.benchmark.start import benchmark_start
from freqquest.benchmark.start_config import StartBenchmark
from freqquest.benchmark.start_job import FRAMEWORKS, MODULES


@pytest.mark.slow
def test_each_step_of_a_start_takes_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "MODULES", {"preprocess": MODULES["preprocess"]})
    table = benchmark_start(StartBenchmark(num_runs=1, output=str(tmp_path / "start.json")))
    (run,) = json.loads((tmp_path / "start.json").read_text())["runs"]["preprocess"]
    assert len(run) == 4
    assert all(seconds > 0 for seconds in run.values())
    assert f"| **from the command to the first task** | {sum(run.values()):.1f} |" in table


def test_every_job_with_a_driver_has_its_framework():
    assert FRAMEWORKS.keys() == MODULES.keys()
