import os

import pytest

from freqquest.benchmark.scale import _about, _speed_and_start
from freqquest.benchmark.scale_config import ScaleBenchmark
from freqquest.errors import UserError


def test_speed_and_startup_time_come_from_a_short_and_a_long_run():
    config = ScaleBenchmark(num_clips=(100, 1100))
    seconds = {"100": [11.0, 12.0, 99.0], "1100": [22.0, 21.0, 99.0]}
    assert _speed_and_start(config, seconds) == (100.0, 11.0)


def test_a_long_run_that_is_not_slower_is_refused():
    config = ScaleBenchmark(num_clips=(100, 200))
    with pytest.raises(UserError, match="200 clips took no longer than 100: pass larger numbers"):
        _speed_and_start(config, {"100": [9.0], "200": [9.0]})


def test_the_result_says_where_nodes_are_not_bound_to_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert "Nodes are not bound to cores" in _about(ScaleBenchmark(), "4 clips")
