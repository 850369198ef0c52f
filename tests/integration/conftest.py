"""Ways to run a job, and to look at what it does."""

import io
import os
import runpy
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from freqquest.cnn.config import PRESETS
from freqquest.cnn.search.space import SPACE, Choice

ROOT = Path(__file__).parent.parent.parent

TINY = ("--only", "num_filters=4", "input_pooling=2,1", "min_steps=1", "normalization=dataset,none")
"""Keeps the classifier's networks small."""


@pytest.fixture(scope="session")
def command(local_ray):
    """Runs a job as a user does, on the session's Ray as on any cluster, and gives what became of it."""

    def run(name, *arguments, expect=0):
        with start(local_ray, name, *arguments, stdout=subprocess.PIPE) as process:
            stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == expect, stdout + stderr
        return SimpleNamespace(stdout=stdout, stderr=stderr)

    return run


@pytest.fixture(scope="session")
def job(local_ray):
    """The same in this process, which spares the start: where another test is a user, or where something is patched."""

    def run(name, *arguments, expect=0):
        code, stdout, stderr = 0, io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            patch.setenv("RAY_ADDRESS", local_ray)  # for jobs that a job starts
            patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
            try:
                runpy.run_path(str(ROOT / "jobs" / f"{name}.py"), run_name="__main__")
            except SystemExit as end:
                code = end.code
        assert code == expect, stdout.getvalue() + stderr.getvalue()
        return SimpleNamespace(stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run


@pytest.fixture
def small_networks(monkeypatch):
    """Keeps the classifiers small that the jobs in this process train."""
    small = {"num_filters": 4, "input_pooling": 2, "normalization": "dataset", "min_steps": 1}
    for name, value in small.items():
        monkeypatch.setitem(SPACE, name, Choice((value,)))
    for preset, network in PRESETS.items():
        monkeypatch.setitem(PRESETS, preset, replace(network, **small))


@contextmanager
def start(ray_address, name, *arguments, stdout=None):
    """A job as a process, which does not outlive the test; its errors are piped."""
    command = [sys.executable, f"jobs/{name}.py", *map(str, arguments)]
    env = os.environ | {"RAY_ADDRESS": ray_address}
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(process, what):
    """What `what` gives, as soon as it gives something, while the process runs."""
    deadline = time.monotonic() + 120
    while not (found := what()):
        assert process.poll() is None, f"ended before: {process.communicate()[1]}"
        assert time.monotonic() < deadline, "nothing in time"
        time.sleep(0.05)
    return found


def events_of(folder):
    """What TensorBoard reads there."""
    accumulator = EventAccumulator(
        str(folder), size_guidance={"audio": 0, "images": 0, "scalars": 0, "tensors": 0}
    )
    accumulator.Reload()
    return accumulator
