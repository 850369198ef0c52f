import json
from dataclasses import replace

import pytest

from freqquest.benchmark.events import benchmark_events
from freqquest.benchmark.events_config import EventsBenchmark
from freqquest.cnn.config import PRESETS
from tests.integration.conftest import SMALL


@pytest.mark.slow
def test_the_benchmark_of_events_writes_scores_of_every_variant(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "default", replace(PRESETS["default"], **SMALL))
    config = EventsBenchmark(
        dataset_dir=str(dataset_dir),
        folds=("100",),  # a recording, as there are no folds
        num_seeds=1,
        max_epochs=1,
        output=str(tmp_path / "events.json"),
    )
    table = benchmark_events(config)
    assert (tmp_path / "events.md").read_text() == table + "\n"
    report = json.loads((tmp_path / "events.json").read_text())
    assert [run["has_background"] for run in report["runs"]] == [False, True]
    without, with_background = report["runs"]
    assert list(without["thresholds"]) == ["high", "low"]
    assert list(with_background["thresholds"]) == ["high", "low", "_background"]
    for run in report["runs"]:
        (recording,) = run["recordings"]
        assert recording["num_clips"] == 2
        assert 8 + 3 * 2 < recording["duration_s"] < 8 + 3 * 8
    assert set(report["summary"]) == {*without["scores"], *with_background["scores"]}
    for name, scores in report["summary"].items():
        assert f"| {name} |" in table
        assert 0 <= scores["event_f1"]["mean"] <= scores["onset_f1"]["mean"] <= 1
        assert scores["event_f1"]["spread"] == 0
