import json

import pytest

from freqquest.benchmark.detect import _rows, benchmark_detect
from freqquest.benchmark.detect_config import DetectBenchmark


@pytest.mark.slow
def test_the_job_and_the_loop_are_timed(local_ray, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", local_ray)  # to start their own takes longer
    output = tmp_path / "detect.json"
    table = benchmark_detect(
        DetectBenchmark(
            hours=(0.01,),
            num_loop_windows=3,
            num_runs=1,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    result = json.loads(output.read_text())
    assert set(result["runs"]) == {"loop", "0.01"}
    assert all(seconds > 0 for runs in result["runs"].values() for seconds in runs)
    assert result["peak_memory_mib"] > 100
    assert "the job, 0.01 h" in table
    assert not (tmp_path / "work").exists()


def test_the_rows_tell_the_speed_and_that_of_further_hours():
    config = DetectBenchmark(hours=(1.0, 3.0), num_loop_windows=600, hop=1.0)
    loop, one, three, further = _rows(config, {"loop": 6.0, "1": 20.0, "3": 30.0})
    assert loop[1:3] == ("6.0", "100")
    assert one[1:] == ("20.0", "180", "1.8 times the loop")
    assert three[1:] == ("30.0", "360", "3.6 times the loop")
    assert further[1:] == ("5.0", "720", "7.2 times the loop")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hours": ()}, "`hours=` must be above 0"),
        ({"hours": (0.0,)}, "`hours=0.0` must be above 0"),
        ({"num_runs": 0}, "`num_runs=0` must be 1 or more"),
        ({"hours": (0.1,)}, "`num_loop_windows=600` needs a recording of 610 s, .* is 360 s: give"),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        DetectBenchmark(**changed)
