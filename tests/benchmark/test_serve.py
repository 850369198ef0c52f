import json

import pytest

from freqquest.benchmark.serve import benchmark_serve
from freqquest.benchmark.serve_config import ServeBenchmark


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="`num_clients=0` must be 1 or more"):
        ServeBenchmark(num_clients=(0,))


@pytest.mark.slow
def test_each_number_of_clients_has_a_line(model_file, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    output = tmp_path / "serve.json"
    table = benchmark_serve(
        ServeBenchmark(
            model=str(model_file),
            num_clients=(1, 3),
            num_requests=6,
            max_batch=(2,),
            num_runs=1,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    lines = [line for line in table.splitlines() if line.startswith("| 2 ")]
    assert [line.split(" | ")[1] for line in lines] == ["1", "3"]
    runs = json.loads(output.read_text())["runs"]
    assert [len(run["request_s"]) for run in runs] == [6, 6]
    assert all(0 < time_s <= run["total_s"] for run in runs for time_s in run["request_s"])
    assert not (tmp_path / "work").exists()
