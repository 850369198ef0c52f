import os
import time

import psutil
import pytest
import ray
from ray.exceptions import TaskCancelledError, WorkerCrashedError

from freqquest.cluster.tasks import cancel_on_error, release_on_interrupt


def test_an_interrupted_wait_ends_its_task(local_ray):
    def work():
        time.sleep(600)

    task = ray.remote(num_cpus=0)(work).remote()
    ray.wait([task], timeout=2)  # until it runs
    with pytest.raises(KeyboardInterrupt), cancel_on_error([task]):
        raise KeyboardInterrupt
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(task, timeout=30)


def test_a_task_that_has_failed_is_not_canceled_but_one_under_way_is(local_ray, monkeypatch):
    # Ray's core ends the process if a task is canceled in the moment in which it completes.
    def fail():
        raise ValueError("no clips")

    def work():
        time.sleep(600)

    canceled = []
    cancel = ray.cancel

    def note(task, **options):
        canceled.append(task)
        cancel(task, **options)

    monkeypatch.setattr(ray, "cancel", note)
    failing = ray.remote(num_cpus=0)(fail).remote()
    running = ray.remote(num_cpus=0)(work).remote()
    with pytest.raises(ValueError, match="no clips"), cancel_on_error([failing, running]):
        ray.get(failing)
    assert canceled == [running]


class Actor:
    def process(self):
        return os.getpid()


def interrupted():
    actor = ray.remote(num_cpus=0)(Actor).remote()
    raise KeyboardInterrupt(ray.get(actor.process.remote()))


def test_an_interrupt_ends_actors_though_the_traceback_is_kept(local_ray):
    with pytest.raises(KeyboardInterrupt) as kept, release_on_interrupt():
        interrupted()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(kept.value.args[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_interrupt_frees_the_resources_that_were_reserved_since(local_ray):
    before, kept = ray.util.placement_group([{"CPU": 0.1}]), []
    ray.get(before.ready())

    def reserve():
        kept.append(ray.util.placement_group([{"CPU": 0.1}]))
        ray.get(kept[0].ready())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), release_on_interrupt():
        reserve()
    deadline = time.monotonic() + 30
    while ray.util.placement_group_table(kept[0])["state"] != "REMOVED":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ray.util.placement_group_table(before)["state"] == "CREATED"
    ray.util.remove_placement_group(before)
