"""Benchmark of a job's start: where the time goes until Ray's first task."""

import json
import os
import subprocess
import sys
from statistics import median

from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.start_config import StartBenchmark
from freqquest.benchmark.start_job import MODULES
from freqquest.progress import Progress
from freqquest.storage import locate

_FIRST_TASK = 4
"""Number of steps until a task has run."""


def benchmark_start(config: StartBenchmark) -> str:
    """Time the steps, write the results, and return them as a table."""
    runs: dict[str, list[dict[str, float]]] = {job: [] for job in MODULES}
    with Progress("benchmark", config.num_runs * len(MODULES), "starts") as progress:
        for _ in range(config.num_runs):
            for job in MODULES:
                runs[job].append(_start(job))
                progress.update(1)
    medians = {
        job: {name: median(run[name] for run in of_job) for name in of_job[0]}
        for job, of_job in runs.items()
    }
    names = max(medians.values(), key=len)
    rows: list[tuple[str, ...]] = [
        (name, *(_cell(of_job.get(name)) for of_job in medians.values())) for name in names
    ]
    totals = (sum(list(of_job.values())[:_FIRST_TASK]) for of_job in medians.values())
    rows.insert(_FIRST_TASK, ("**from the command to the first task**", *map(_cell, totals)))
    return BenchmarkResult(
        name="start",
        settings={"num_runs": config.num_runs},
        about=f"seconds of each step of a job's start, with a Ray of its own; medians of "
        f"{config.num_runs}",
        measurements={"runs": runs},
        header=("step", *MODULES),
        rows=rows,
    ).write(locate(config.output))


def _start(job: str) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-m", "freqquest.benchmark.start_job", job],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def _cell(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"
