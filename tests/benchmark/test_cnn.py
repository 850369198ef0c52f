import dataclasses

import pytest

from freqquest.benchmark.cnn import benchmark_cnn
from freqquest.benchmark.cnn_config import CnnBenchmark
from freqquest.benchmark.events import benchmark_events
from freqquest.benchmark.events_config import EventsBenchmark
from freqquest.benchmark.extra import benchmark_extra
from freqquest.benchmark.extra_config import ExtraBenchmark
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate


@pytest.mark.parametrize(
    ("benchmark", "config", "settings"),
    [
        (benchmark_cnn, CnnBenchmark, {}),
        (benchmark_events, EventsBenchmark, {}),
        (benchmark_extra, ExtraBenchmark, {"extra_clips": "none"}),
    ],
)
def test_benchmarks_of_accuracy_refuse_several_labels(
    benchmark, config, settings, dataset_dir, tmp_path
):
    several = dataclasses.replace(load_manifest(locate(dataset_dir)), has_several_labels=True)
    (tmp_path / "dataset").mkdir()
    several.save(locate(tmp_path / "dataset"))
    where = {"dataset_dir": str(tmp_path / "dataset"), "output": str(tmp_path / "results.json")}
    with pytest.raises(UserError, match="this benchmark needs one label a clip"):
        benchmark(config(**where, **settings))
