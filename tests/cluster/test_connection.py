import logging
import os
import signal
import socket

import pytest
import ray

from freqquest.cluster import connection, ray_internals
from freqquest.errors import UserError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError(
                "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n"
                "    Python: 3.12.1\n"
            ),
            r"started with: Ray: 2.50.0 Python: 3.12.1 Run the job with the cluster's own",
        ),
        (
            Exception("The current node timed out during startup. This could happen because"),
            "Ray did not start in time: this machine is too busy; run the command again",
        ),
        (
            OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes"),
            "is too long a path for Ray's sockets: set RAY_TMPDIR to a short one, such as /tmp",
        ),
    ],
)
def test_errors_of_ray_at_its_start_become_one_line(monkeypatch, error, message):
    def refuse(**_):
        raise error

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UserError, match=message):
        connection.connect()


def test_a_ray_that_starts_here_gets_the_cores_that_this_process_may_use(monkeypatch):
    found = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: found.append(ray._private.utils.get_num_cpus()))
    monkeypatch.setattr(connection, "num_usable_cores", lambda: 41)
    connection.connect()
    assert found == [41]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ray://head:10001", "a job runs inside the cluster; send it there with ray job submit"),
        ("127.0.0.1:1", "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1 .*refused.*: check"),
        ("127.0.0.1:x", "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:x"),
    ],
)
def test_an_address_of_no_cluster_is_refused_with_the_fix(monkeypatch, address, problem):
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError, match=problem):
        connection.connect()


def test_connecting_keeps_the_handler_of_sigterm(monkeypatch):
    own = signal.signal(signal.SIGTERM, mine := lambda *_: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    try:
        assert connection.connect()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, own)


def test_a_server_that_is_no_cluster_is_refused(monkeypatch):
    def refuse(**_):
        raise ConnectionError("no answer")

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", refuse)
        with pytest.raises(UserError, match=f"{address} is not a Ray cluster.* RAY_AUTH_MODE"):
            connection.connect()


def test_settings_of_the_environment_win_over_ours(monkeypatch):
    for name in ray_internals.QUIET_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "1")
    connection.prepare_environment()
    assert os.environ["RAY_AIR_NEW_OUTPUT"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_ray_data_is_silent_and_uses_all_cores_at_once(monkeypatch):
    from ray.data import DataContext

    monkeypatch.setattr(ray_internals, "use_all_cores_at_once", lambda: called.append(True))
    called = []
    connection.configure("data")
    assert called
    assert logging.getLogger("ray.data").level == logging.ERROR
    assert not DataContext.get_current().enable_progress_bars
