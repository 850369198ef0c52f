"""A Ray cluster of one-core nodes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from freqquest.benchmark.machine import bind_to_cores, usable_cores
from freqquest.cluster import connection, ray_internals

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

_OBJECT_STORE_BYTES = 100 * 2**20


@contextmanager
def one_core_nodes(count: int) -> "Iterator[Cluster]":
    """Start a head that runs no tasks and a number of nodes with one core each.

    Each node is bound to one core of this machine, in turn, where the platform can do so. Programs
    find the cluster only by its address.
    """
    connection.prepare_environment()
    with ray_internals.hidden_cluster() as cluster:
        _add_node(cluster, num_cpus=0)
        for number in range(count):
            add_one_core_node(cluster, number)
        yield cluster


def add_one_core_node(cluster: "Cluster", number: int) -> None:
    """Add a node to a cluster, bound to one core by its number."""
    cores = usable_cores()
    try:
        # Processes inherit the cores that the process that starts them is bound to.
        bind_to_cores([cores[number % len(cores)]])
        _add_node(cluster, num_cpus=1)
    finally:
        bind_to_cores(cores)


def _add_node(cluster: "Cluster", num_cpus: int) -> None:
    cluster.add_node(
        num_cpus=num_cpus, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES
    )
