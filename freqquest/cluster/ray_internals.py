"""Private APIs of Ray, in one place. Checked with Ray 2.60.0."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


@contextmanager
def hidden_cluster() -> "Iterator[Cluster]":
    """Yield an empty cluster on this machine, whose nodes are added by `add_node`.

    Ray usually writes the address of a cluster that it starts to a file, where all of this user's
    programs find it. Here it does not, so only those that know the address connect.
    """
    from ray.cluster_utils import Cluster

    with (
        mock.patch("ray._private.utils.write_ray_address"),
        mock.patch("ray._common.utils.reset_ray_address"),
    ):
        cluster = Cluster()
        try:
            yield cluster
        finally:
            cluster.shutdown()
