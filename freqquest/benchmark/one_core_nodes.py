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
    cores = usable_cores()
    with ray_internals.hidden_cluster() as cluster:
        try:
            # Processes inherit the cores that the process that starts them is bound to.
            for number in range(-1, count):
                is_head = number < 0
                bind_to_cores(cores if is_head else [cores[number % len(cores)]])
                cluster.add_node(
                    num_cpus=0 if is_head else 1,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                )
            bind_to_cores(cores)
            yield cluster
        finally:
            bind_to_cores(cores)
