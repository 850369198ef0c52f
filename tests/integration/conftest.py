"""Ways to run a job and to look at what it does."""

import io
import json
import os
import runpy
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from freqquest.cnn.config import PRESETS
from freqquest.cnn.search.space import SPACE, Choice

ROOT = Path(__file__).parent.parent.parent

SMALL = {
    "num_blocks": 1,  # most of the time goes into building TensorFlow's graphs
    "num_filters": 4,
    "input_pooling": 4,
    "normalization": "dataset",
    "min_steps": 1,
}
"""Settings that keep the classifier's networks small."""

TINY = ("--only", *(f"{name}={value}" for name, value in SMALL.items()))
"""The same for jobs in other processes."""

SAVE_EVERY_EVENT = ("TUNE_GLOBAL_CHECKPOINT_S", "0")
"""Environment variable with which Ray Tune saves its state at every event, for `trial_states`."""


@pytest.fixture(scope="session")
def job(local_ray):
    """A function that runs a job in this process: faster than a new one, and open to patches."""

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


@contextmanager
def smaller_networks():
    """Keep the classifiers small that jobs in this process train."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setitem(SPACE, name, Choice((value,)))
        for preset, network in PRESETS.items():
            patch.setitem(PRESETS, preset, replace(network, **SMALL))
        yield


@pytest.fixture
def small_networks():
    """`smaller_networks` for one test."""
    with smaller_networks():
        yield


@contextmanager
def start(ray_address, name, *arguments, stdout=None):
    """Run a job as a process that does not outlive the block; its errors are piped."""
    command = [sys.executable, f"jobs/{name}.py", *map(str, arguments)]
    env = os.environ | {"RAY_ADDRESS": ray_address}
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def events_of(folder):
    """Return what TensorBoard reads in a folder."""
    accumulator = EventAccumulator(
        str(folder), size_guidance={"audio": 0, "images": 0, "scalars": 0, "tensors": 0}
    )
    accumulator.Reload()
    return accumulator


def trial_states(run):
    """Return the state of each trial by Ray Tune's last save, in the order in which they began."""
    for path in run.glob("trials/experiment_state-*.json"):
        with suppress(json.JSONDecodeError):  # it is being written
            trials = [json.loads(trial) for trial, _ in json.loads(path.read_text())["trial_data"]]
            return {trial["trial_id"]: trial["status"] for trial in trials}
    return {}


def ended_trials(run):
    """Return the trials that have ended by Ray Tune's last save."""
    return [trial for trial, state in trial_states(run).items() if state == "TERMINATED"]
