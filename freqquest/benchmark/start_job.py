"""The start of a job, as far as the first task of Ray, in a process of its own.

As a program, it is given the name of a job, and prints the seconds of each step as JSON.
"""

import json
import sys
import time
from importlib import import_module

import psutil

MODULES = {
    "preprocess": "freqquest.dataset.write",
    "tune_cnn": "freqquest.cnn.tune",
    "predict": "freqquest.cnn.predict",
    "train_cgan": "freqquest.cgan.train",
}
"""Module of each job's driver."""

FRAMEWORKS = {
    "preprocess": None,
    "tune_cnn": "freqquest.cnn.training",
    "predict": "freqquest.cnn.training",
    "train_cgan": "freqquest.cgan.train_worker",
}
"""Module that each job's workers begin with, which loads TensorFlow or PyTorch."""


def main() -> None:
    """Start a job, and print the seconds of each step."""
    job = sys.argv[1]
    started = psutil.Process().create_time()
    seconds: dict[str, float] = {}

    def step(name: str) -> None:
        seconds[name] = time.time() - started - sum(seconds.values())

    import_module("freqquest.commands")
    step("Python, and the command line")
    import_module(MODULES[job])
    step("the job's modules")

    from freqquest.cluster import connection

    connection.connect()
    step("Ray")

    import ray

    def work(module: str | None) -> None:
        if module is not None:
            import_module(module)

    remote_work = ray.remote(num_cpus=1)(work)
    ray.get(remote_work.remote(None))
    step("the first task")
    if (framework := FRAMEWORKS[job]) is not None:
        ray.get(remote_work.remote(framework))
        step("TensorFlow or PyTorch in a worker")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
