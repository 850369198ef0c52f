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
