import json

import pytest

from freqquest.benchmark.detect import benchmark_detect
from freqquest.benchmark.detect_config import DetectBenchmark


@pytest.mark.slow
def test_the_job_and_the_loop_are_timed(tmp_path):
    output = tmp_path / "detect.json"
    table = benchmark_detect(
        DetectBenchmark(
            hours=(0.01, 0.02),
            num_loop_windows=3,
            num_runs=1,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    result = json.loads(output.read_text())
    assert set(result["runs"]) == {"loop", "0.01", "0.02"}
    assert all(seconds > 0 for runs in result["runs"].values() for seconds in runs)
    assert result["peak_memory_mib"] > 100
    assert "the job, each further hour" in table
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hours": ()}, "`hours=` must be above 0"),
        ({"hours": (0.0,)}, "`hours=0.0` must be above 0"),
        ({"num_runs": 0}, "`num_runs=0` must be 1 or more"),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        DetectBenchmark(**changed)
