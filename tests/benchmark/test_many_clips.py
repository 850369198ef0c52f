import json

import pytest

from freqquest.benchmark.many_clips import benchmark_many_clips
from freqquest.benchmark.many_clips_config import ManyClipsBenchmark


@pytest.mark.slow
def test_every_job_is_measured_also_with_more_clips_than_are_decoded(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    output = tmp_path / "many_clips.json"
    benchmark_many_clips(
        ManyClipsBenchmark(
            num_clips=(1000,),
            max_decoded=500,
            num_steps=4,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    run = json.loads(output.read_text())["runs"]["1000"]
    assert run["plan"]["num_clips"] == run["tune"]["num_clips"] == 1000
    assert run["preprocess"]["num_clips"] == run["predict"]["num_clips"] == 500
    for stage in ("plan", "preprocess", "tune", "predict"):
        assert run[stage]["seconds"] > 0
        assert run[stage]["peaks_mib"]["driver"] > 50
    assert len(run["tune"]["peaks_mib"]) > 2  # the driver, other processes, and workers
    assert 0 < run["bytes_of"]["report"] < 10e6
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_clips": (100,)}, "must be 500 or more"),
        ({"num_clips": (2000, 1000)}, "must name smaller numbers first"),
        ({"output": "many.csv"}, "must end in .json"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ManyClipsBenchmark(**settings)
