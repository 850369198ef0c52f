import inspect
import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import ray
from ray.cluster_utils import Cluster

from freqquest.benchmark import one_core_nodes as module
from freqquest.benchmark.machine import usable_cores


@pytest.fixture
def started(monkeypatch):
    """Cores that the nodes of a cluster, which starts nothing, were bound to."""
    nodes = []

    def add_node(num_cpus, **_):
        nodes.append((num_cpus, usable_cores()))

    cluster = SimpleNamespace(add_node=add_node)
    monkeypatch.setattr(module.ray_internals, "hidden_cluster", lambda: nullcontext(cluster))
    return nodes


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process can be bound here")
def test_each_node_is_bound_to_a_core_and_the_head_to_none(started):
    cores = usable_cores()
    with module.one_core_nodes(len(cores) + 1):
        assert usable_cores() == cores
    assert started == [(0, cores), *((1, [core]) for core in cores), (1, cores[:1])]


def test_nodes_start_unbound_where_the_platform_cannot_bind(started, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with module.one_core_nodes(2):
        pass
    assert [num_cpus for num_cpus, _ in started] == [0, 1, 1]


def test_ray_publishes_a_clusters_address_by_the_functions_that_are_replaced():
    assert ray.__version__ == "2.60.0"
    assert "ray._private.utils.write_ray_address(" in inspect.getsource(Cluster.add_node)
    assert "ray._common.utils.reset_ray_address(" in inspect.getsource(Cluster.shutdown)
