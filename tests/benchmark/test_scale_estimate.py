import re
from pathlib import Path

import pytest
import yaml

from freqquest.benchmark.scale_config import ScaleBenchmark
from freqquest.benchmark.scale_estimate import UnitCosts, estimate, estimate_hours

CLUSTER = Path(__file__).parents[2] / "cluster.yaml"


def test_costs_of_many_clips_follow_from_those_of_one():
    config = ScaleBenchmark(cluster_nodes=4, cores_per_node=16, node_start_s=300)
    costs = UnitCosts(clips_per_s=50, start_s=60, audio_bytes=2e5, dataset_bytes=1.8e5)
    million = estimate(config, costs)["1000000"]
    left = 1e6 - 300 * 16 * 50 - 300 * 32 * 50  # after one node, and then two, were at work
    assert million["hours"] == pytest.approx((60 + 3 * 300 + left / 50 / 64) / 3600)
    assert million["node_hours"] == pytest.approx((300 + 600 + 1200 + left / 50 / 16) / 3600)
    assert million["audio_tb"] == pytest.approx(0.2)
    assert million["dataset_tb"] == pytest.approx(0.18)
    assert million["search_memory_gb"] == pytest.approx(44.288)


def test_few_clips_are_done_before_more_nodes_start():
    config = ScaleBenchmark(cluster_nodes=4, cores_per_node=10, node_start_s=100)
    costs = UnitCosts(clips_per_s=50, start_s=5, audio_bytes=0, dataset_bytes=0)
    assert estimate_hours(config, costs, 5_000) == {
        "hours": pytest.approx(115 / 3600),
        "node_hours": pytest.approx(110 / 3600),
    }


def test_the_default_cluster_is_that_of_cluster_yaml():
    text = CLUSTER.read_text()
    nodes = yaml.safe_load(text)["available_node_types"]["cpu"]
    instance_type = re.escape(nodes["node_config"]["InstanceType"])
    cores = re.search(rf"InstanceType: {instance_type}  # (\d+) vCPU", text)[1]
    assert ScaleBenchmark().cluster_nodes == nodes["max_workers"]
    assert ScaleBenchmark().cores_per_node == int(cores)
