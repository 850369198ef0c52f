import pytest
import ray

from freqquest.cluster import connection
from freqquest.errors import UserError


def test_a_cluster_of_another_version_is_refused_in_a_line(monkeypatch):
    def refuse(**_):
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.12.1\n"
        )

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(
        UserError,
        match=r"started with: Ray: 2.50.0 Python: 3.12.1 Run the job with the cluster's own",
    ):
        connection.connect()
