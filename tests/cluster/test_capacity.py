"""Shares of the cluster, with nodes that exist only in the test."""

import math
from pathlib import Path

import pytest
import ray
import yaml

from freqquest.cluster import capacity
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError


@pytest.fixture
def nodes(monkeypatch):
    """Replace the nodes of the cluster."""

    def pretend(*resources):
        monkeypatch.setattr(
            ray, "nodes", lambda: [{"Alive": True, "Resources": each} for each in resources]
        )
        monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 1.0, "GPU": 0.0002})

    return pretend


def test_workers_share_the_cores_of_a_node(nodes):
    nodes({"CPU": 8.0})
    assert capacity.worker_resources(Requirements()) == {"CPU": 8, "GPU": 0}
    assert capacity.worker_resources(Requirements(num_workers=3)) == {"CPU": 2, "GPU": 0}
    assert capacity.worker_resources(Requirements(num_workers=3, cpus_per_worker=1)) == {
        "CPU": 1,
        "GPU": 0,
    }
    assert capacity.worker_resources(Requirements(cpus_per_worker=64)) == {"CPU": 8, "GPU": 0}


def test_workers_fit_the_nodes_with_gpus(nodes):
    nodes({"CPU": 64.0}, {"CPU": 64.0}, {"CPU": 8.0, "GPU": 4.0})
    assert capacity.worker_resources(Requirements(num_workers=4, use_gpu=True)) == {
        "CPU": 2,
        "GPU": 1,
    }


def test_trainings_share_cores_memory_and_gpus(nodes):
    nodes({"CPU": 16.0, "memory": 64e9, "GPU": 2.0}, {"CPU": 4.0, "memory": 1e9})
    few = capacity.trial_resources(4, cpus_each=None, use_gpu=True, sharing_gpu=4)
    assert few == {"CPU": 4, "GPU": 0.25, "memory": 3 * 2**30}
    assert capacity.trial_resources(100, cpus_each=None, use_gpu=False)["CPU"] == 1
    assert capacity.trial_resources(100, cpus_each=3, use_gpu=False) == {
        "CPU": 3,
        "GPU": 0,
        "memory": 3 * 2**30,
    }
    nodes({"CPU": 2.0, "memory": 1e9})
    # More than a node has would wait forever.
    assert capacity.trial_resources(1, cpus_each=None, use_gpu=False)["memory"] == 1e9
    with pytest.raises(UserError, match="the cluster has 0"):
        capacity.trial_resources(1, cpus_each=None, use_gpu=True)


def test_more_than_the_cluster_has_is_refused_with_its_resources(nodes):
    nodes({"CPU": 2.0})
    with pytest.raises(
        UserError, match=r"`use_gpu` with 2 worker\(s\) needs 2 GPU\(s\), the cluster has 0"
    ):
        capacity.worker_resources(Requirements(num_workers=2, use_gpu=True))
    with pytest.raises(UserError, match="3 workers need a CPU core each, the cluster has 2"):
        capacity.worker_resources(Requirements(num_workers=3))


def test_without_an_autoscaler_no_more_trainings_fit_later(nodes):
    nodes({"CPU": 8.0})
    assert capacity.num_addable_trials({"CPU": 1, "GPU": 0, "memory": 1}, 100) == 0


def test_busy_resources_are_named(nodes):
    nodes({"CPU": 2.0, "GPU": 1.0})
    assert capacity.describe() == "1 node(s): 2 cores, 1 GPUs (busy now: 1 cores, 1 GPUs)"
    nodes({"CPU": 1.0})
    assert capacity.describe() == "1 node(s): 1 cores, 0 GPUs"


def test_nodes_that_the_autoscaler_may_add_count(nodes, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    nodes({"node:__internal_head__": 1.0})
    with pytest.raises(UserError, match="the cluster has 0"):
        capacity.worker_resources(Requirements())

    config = yaml.safe_load((Path(__file__).parents[2] / "cluster.yaml").read_text())
    for kind, resources in {
        "cpu": {"CPU": 16, "memory": 64e9},
        "gpu": {"CPU": 4, "GPU": 1, "memory": 16e9},
    }.items():
        config["available_node_types"][kind]["resources"] = resources  # added by `ray up`
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    assert capacity.worker_resources(Requirements(num_workers=8, use_gpu=True)) == {
        "CPU": 4,
        "GPU": 1,
    }
    assert capacity.trial_resources(8, cpus_each=None, use_gpu=False) == {
        "CPU": 8,
        "GPU": 0,
        "memory": 3 * 2**30,
    }
    shared = capacity.trial_resources(16, cpus_each=None, use_gpu=True, sharing_gpu=4)
    assert shared == {"CPU": 2, "GPU": 0.25, "memory": 3 * 2**30}
    assert (
        capacity.describe()
        == "1 node(s): 0 cores, 0 GPUs; with all nodes that may start, 96 cores, 8 GPUs"
    )
    assert capacity.num_addable_trials({"CPU": 8, "GPU": 0, "memory": 1}, 100) == 8
    assert capacity.num_addable_trials({"CPU": 1, "GPU": 0.25, "memory": 1}, 100) == 32
    assert capacity.num_addable_trials({"CPU": 8, "GPU": 0, "memory": 1}, 5) == 5
    of_another_type = {"CPU": 8.0}
    nodes({"node:__internal_head__": 1.0}, {"CPU": 16.0, "memory": 60e9}, of_another_type)
    assert capacity.num_addable_trials({"CPU": 8, "GPU": 0, "memory": 1}, 100) == 6
    assert capacity.num_cores() == 104
    assert capacity.can_replace_nodes()
    with pytest.raises(UserError, match="needs 9 GPU.s., the cluster has 8"):
        capacity.worker_resources(Requirements(num_workers=9, use_gpu=True))


def test_with_kubernetes_the_number_of_nodes_is_unknown(nodes, monkeypatch):
    nodes({"node:__internal_head__": 1.0})
    monkeypatch.setenv("KUBERAY_GEN_RAY_START_CMD", "ray start --head --no-monitor --num-cpus=0")
    assert capacity.worker_resources(
        Requirements(num_workers=4, cpus_per_worker=2, use_gpu=True)
    ) == {"CPU": 2, "GPU": 1}
    assert capacity.describe().endswith("Kubernetes may add more, up to a limit that only it knows")
    assert capacity.num_cores() == math.inf
    assert capacity.num_addable_trials({"CPU": 8, "GPU": 0, "memory": 1}, 5) == 5
