"""Fitting workers to the nodes there are, with nodes that exist only in the test."""

import pytest
import ray

from freqquest import cluster
from freqquest.errors import UserError


@pytest.fixture
def nodes(monkeypatch):
    def pretend(*resources):
        monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": each} for each in resources])

    return pretend


def test_workers_share_a_nodes_cores(nodes):
    nodes({"CPU": 8.0})
    assert cluster.require(num_workers=1, cpus_per_worker=None, use_gpu=False) == {"CPU": 8, "GPU": 0}
    assert cluster.require(num_workers=3, cpus_per_worker=None, use_gpu=False) == {"CPU": 2, "GPU": 0}
    assert cluster.require(num_workers=3, cpus_per_worker=1, use_gpu=False) == {"CPU": 1, "GPU": 0}
    assert cluster.require(num_workers=1, cpus_per_worker=64, use_gpu=False) == {"CPU": 8, "GPU": 0}


def test_workers_fit_the_nodes_that_have_the_gpus(nodes):
    nodes({"CPU": 64.0}, {"CPU": 64.0}, {"CPU": 8.0, "GPU": 4.0})
    assert cluster.require(num_workers=4, cpus_per_worker=None, use_gpu=True) == {"CPU": 2, "GPU": 1}


def test_trainings_share_out_cores_memory_and_gpus(nodes, monkeypatch):
    nodes({"CPU": 16.0, "memory": 64e9, "GPU": 2.0}, {"CPU": 4.0, "memory": 1e9})
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 20.0})
    few = cluster.share_out(4, cpus_each=None, use_gpu=True, sharing_gpu=4)
    assert few == {"CPU": 5, "GPU": 0.25, "memory": 3 * 2**30}
    assert cluster.share_out(100, cpus_each=None, use_gpu=False)["CPU"] == 1
    assert cluster.share_out(100, cpus_each=3, use_gpu=False) == {"CPU": 3, "GPU": 0, "memory": 3 * 2**30}
    nodes({"CPU": 2.0, "memory": 1e9})
    assert cluster.share_out(1, cpus_each=None, use_gpu=False)["memory"] == 1e9  # more would wait forever
    with pytest.raises(UserError, match="the cluster has 0"):
        cluster.share_out(1, cpus_each=None, use_gpu=True)


def test_more_than_the_cluster_has_is_refused_with_what_it_has(nodes):
    nodes({"CPU": 2.0})
    with pytest.raises(UserError, match=r"--use-gpu with 2 worker\(s\) needs 2 GPU\(s\), the cluster has 0"):
        cluster.require(num_workers=2, cpus_per_worker=None, use_gpu=True)
    with pytest.raises(UserError, match="3 workers need a CPU core each, the cluster has 2"):
        cluster.require(num_workers=3, cpus_per_worker=None, use_gpu=False)
