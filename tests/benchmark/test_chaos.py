import json

import pytest

from freqquest.benchmark.chaos import Round, _result, benchmark_chaos
from freqquest.benchmark.chaos_config import ChaosBenchmark
from freqquest.benchmark.chaos_monkey import Fault


@pytest.mark.slow
def test_a_disturbed_round_ends_as_the_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    output = tmp_path / "chaos.json"
    benchmark_chaos(
        ChaosBenchmark(
            num_rounds=1,
            mean_interval_s=8.0,
            max_faults=2,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    report = json.loads(output.read_text())
    (disturbed,) = report["rounds"]
    assert len(disturbed["faults"]) == 2
    assert disturbed["problems"] == []
    assert report["undisturbed"]["attempts"] == dict.fromkeys(disturbed["attempts"], 1)
    assert not (tmp_path / "work").exists()


def test_the_table_counts_faults_and_what_they_ended(tmp_path):
    config = ChaosBenchmark(output=str(tmp_path / "chaos.json"))
    survived = Round(
        storage="local",
        faults=[Fault("worker killed", 3.0, "tune_cnn", 1)],
        attempts={"tune_cnn": 1},
    )
    ended = Round(
        storage="s3",
        faults=[Fault("worker killed", 2.0, "predict", 1), Fault("head lost", 3.0, "predict", 1)],
        attempts={"predict": 2},
        endings=[{"job": "predict", "attempt": 1, "code": 1, "last line": "error: lost"}],
        problems=["another submission"],
    )
    rows = _result(config, Round(storage="local"), [survived, ended], num_hit=7).rows
    assert ("worker killed", "2", "0") in rows
    assert ("head lost", "1", "1") in rows
    assert ("rounds that ended as the undisturbed run", "1 of 2", "") in rows
    assert ("runs of the jobs", "3 for 2 jobs", "") in rows


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_rounds": 0}, "`num_rounds=0` must be 1 or more"),
        ({"mean_interval_s": 0.0}, "`mean_interval_s=0` must be above 0"),
        ({"seed": -1}, "`seed=-1` must be 0 or more"),
        ({"output": "chaos.csv"}, "must end in .json"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ChaosBenchmark(**settings)
