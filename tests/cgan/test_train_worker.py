"""Reports of lost workers, without Ray Train."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import ray.train
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from freqquest.cgan import train_worker
from freqquest.cgan.train_worker import _LostWorkerReporter, _reasons
from freqquest.cgan.training_loop import StartError


def job(workers, resources):
    return SimpleNamespace(
        config=SimpleNamespace(workers=workers), resources=resources, progress=MagicMock()
    )


def test_a_lost_worker_is_named_but_not_those_that_failed_by_its_loss():
    lost = WorkerHealthCheckFailedError("health check failed", RayActorError())
    others = {
        0: RuntimeError("connection\nreset by peer"),
        2: RuntimeError("connection reset by peer"),
    }
    assert _reasons(others | {1: lost}) == "worker 1: its process or node was lost"
    assert _reasons(others).startswith(
        "worker 0: RuntimeError: reset by peer; worker 2: RuntimeError"
    )


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_training_that_cannot_start_is_not_started_again(monkeypatch, world_size):
    def refuse(*_):
        raise StartError("train/part-00000.parquet is corrupt")

    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: world_size)
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(train_worker, "get_device", lambda: None)
    monkeypatch.setattr(train_worker, "run_training", refuse)
    result = train_worker._train_worker({"job": job((1, 2), {"CPU": 1})})
    assert result == {"error": "train/part-00000.parquet is corrupt"}


@pytest.mark.parametrize(("of_ray", "usable", "expected"), [(4, 2, 2), (1, 2, 1), (0.5, 2, 1)])
def test_a_worker_uses_no_more_threads_than_it_has_cores(monkeypatch, of_ray, usable, expected):
    numbers = []
    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(train_worker, "get_device", lambda: None)
    monkeypatch.setattr(train_worker, "run_training", lambda *_: {})
    monkeypatch.setattr(train_worker, "num_usable_cores", lambda: usable)
    monkeypatch.setattr(train_worker.torch, "set_num_threads", numbers.append)
    train_worker._train_worker({"job": job((1, 1), {"CPU": of_ray})})
    assert numbers == [expected]


def test_the_driver_learns_how_many_workers_wait_and_what_each_needs():
    fixed, elastic = job((3, 3), {"CPU": 2, "GPU": 1}), job((1, 3), {"CPU": 1.0, "GPU": 0})
    for each in (fixed, elastic):
        _LostWorkerReporter(each).after_exception(None, {0: RuntimeError("no space")})
    fixed.progress.put.assert_called_with(
        (
            None,
            "worker 0: RuntimeError: no space; "
            "starting 3 worker(s) with 2 CPU and 1 GPU each as soon as they fit",
        )
    )
    assert elastic.progress.put.call_args.args[0][1].endswith(
        "starting 1 to 3 worker(s) with 1 CPU each as soon as they fit"
    )
