import pytest

from freqquest.serving.config import ServeConfig


def test_a_service_off_this_machine_needs_a_token():
    for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1"):
        assert ServeConfig(model="m", host=host).is_on_loopback
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):
        with pytest.raises(ValueError, match=f"`host={host}` can be reached from other machines"):
            ServeConfig(model="m", host=host)
        assert not ServeConfig(model="m", host=host, token_file="t").is_on_loopback


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"port": 70_000}, "`port=70000` must be from 0 to 65535"),
        ({"max_size_mb": 0}, "`max_size_mb=0` must be above 0"),
        ({"time_limit_s": float("inf")}, "`time_limit_s=inf` must be above 0"),
        ({"time_limit_s": float("nan")}, "`time_limit_s=nan` must be above 0"),
        ({"max_batch": 0}, "`max_batch=0` must be from 1 to 8, the requests that"),
        ({"max_batch": 9}, "`max_batch=9` must be from 1 to 8"),
        ({"replicas": "0:2"}, "`replicas=0:2` must be 1 or more"),
        ({"replicas": "3:2"}, "`replicas=3:2` must give the minimum first: 2:3"),
        ({"replicas": "many"}, "`replicas=many` must be a number, or two such as 2:8"),
        ({"certificate": "c"}, "`certificate` needs `key`"),
        ({"key": "k"}, "`key` needs `certificate`"),
    ],
)
def test_bad_settings_are_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        ServeConfig(model="m", **settings)


def test_replicas_are_what_the_job_requires_of_the_cluster():
    one = ServeConfig(model="m").requirements
    assert (one.reads, one.num_workers, one.max_workers) == ({"model": "m"}, 1, None)
    some = ServeConfig(model="m", replicas="2:4", use_gpu=True).requirements
    assert (some.num_workers, some.max_workers, some.use_gpu) == (2, 4, True)
