import re
from pathlib import Path

import pytest
import yaml

from freqquest.benchmark.config import ScaleBenchmark
from freqquest.benchmark.scale import Parts, _hours, _model, _rate

CLUSTER = Path(__file__).parents[2] / "cluster.yaml"


def test_speed_and_start_come_from_two_lengths():
    config = ScaleBenchmark(num_clips=(100, 1100))
    assert _rate(config, {"100": [11.0, 12.0, 99.0], "1100": [22.0, 21.0, 99.0]}) == (100.0, 11.0)


def test_hours_and_bytes_of_many_clips_follow_from_those_of_one():
    config = ScaleBenchmark(cluster_nodes=4, cores_per_node=16, node_start_s=300)
    model = _model(config, Parts(clips_per_s=50, start_s=60, audio_bytes=2e5, dataset_bytes=1.8e5))[
        "1000000"
    ]
    left = 1e6 - 300 * 16 * 50 - 300 * 32 * 50  # while one node, and then two, were at work
    assert model["hours"] == pytest.approx((60 + 3 * 300 + left / 50 / 64) / 3600)
    assert model["node_hours"] == pytest.approx((300 + 600 + 1200 + left / 50 / 16) / 3600)
    assert model["audio_tb"] == pytest.approx(0.2)
    assert model["dataset_tb"] == pytest.approx(0.18)
    assert model["search_memory_gb"] == pytest.approx(44.288)


def test_few_clips_are_done_before_more_nodes_come():
    config = ScaleBenchmark(cluster_nodes=4, cores_per_node=10, node_start_s=100)
    assert _hours(
        config, Parts(clips_per_s=50, start_s=5, audio_bytes=0, dataset_bytes=0), 5_000
    ) == {
        "hours": pytest.approx(115 / 3600),
        "node_hours": pytest.approx(110 / 3600),
    }


def test_the_cluster_that_is_reckoned_for_is_that_of_cluster_yaml():
    text = CLUSTER.read_text()
    nodes = yaml.safe_load(text)["available_node_types"]["cpu"]
    cores = re.search(
        rf"InstanceType: {re.escape(nodes['node_config']['InstanceType'])}  # (\d+) vCPU", text
    )[1]
    assert (ScaleBenchmark().cluster_nodes, ScaleBenchmark().cores_per_node) == (
        nodes["max_workers"],
        int(cores),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_clips": (5, 5)}, "must name the fewer first"),
        ({"num_nodes": (2, 3)}, "must include 1"),
    ],
)
def test_settings_that_measure_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ScaleBenchmark(**settings)
