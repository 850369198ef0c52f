"""Benchmark of survival: jobs on a cluster whose parts are killed at random, until they are done.

What they leave is compared with what undisturbed jobs leave.
"""

import dataclasses
import os
import random
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from freqquest.audio.demo_clips import DemoConfig, write_demo_clips
from freqquest.benchmark.chaos_config import ChaosBenchmark
from freqquest.benchmark.chaos_jobs import Job, Outcome, make_jobs, read_outcome
from freqquest.benchmark.chaos_monkey import NUM_NODES, Fault, Machines, Monkey
from freqquest.benchmark.chaos_storage import (
    BUCKET,
    FaultyProxy,
    has_s3_server,
    s3_storage,
    small_disk,
)
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import work_folder
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

_CLIPS = DemoConfig(num_recordings=4, num_test_recordings=2, sample_rate_hz=8000, duration_s=1.0)
_POLL_S = 0.1
_IDLE_S = 30.0
"""Time after which a task of a job that has ended counts as outliving it."""

_CLUSTER_VARIABLES = {"RAY_health_check_period_ms": "500"}
"""After five failed checks, 3 s apart by default, a node is lost."""


@dataclass(kw_only=True, slots=True)
class Round:
    """A run of all jobs."""

    storage: str
    """`local` or `s3`."""
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    """Runs of each job."""
    endings: list[dict[str, object]] = field(default_factory=list)
    """How runs of a job ended that did not end well: job, exit code, last line."""
    problems: list[str] = field(default_factory=list)
    """Differences from the undisturbed run, and whatever else must not be; none if all is well."""


def benchmark_chaos(config: ChaosBenchmark) -> str:
    """Run the rounds, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, or the undisturbed run failed.
    """
    with ExitStack() as stack:
        work = stack.enter_context(work_folder(config.work_dir))
        demo = write_demo_clips(work / "demo", _CLIPS)
        environment, proxy = dict(_CLUSTER_VARIABLES), None
        if has_s3_server():
            proxy, of_storage = stack.enter_context(s3_storage(config.seed))
            environment |= of_storage
        # Nodes and their workers inherit it.
        stack.enter_context(mock.patch.dict(os.environ, environment))
        machines = Machines()
        stack.callback(machines.stop)
        runner = _Runner(config, machines, demo.train_dir, demo.test_dir)
        is_disk = stack.enter_context(small_disk(work / "disk"))
        disk = work / "disk"
        calm = runner.run(Round(storage="local"), str(work / "calm"))
        if calm.problems:
            raise UserError(f"the undisturbed run failed: {'; '.join(calm.problems)}")
        expected = read_outcome(locate(work / "calm"))
        rounds: list[Round] = []
        table = ""
        with Progress("benchmark", config.num_rounds, "rounds") as progress:
            for number in range(config.num_rounds):
                is_remote = proxy is not None and number % 2 == 1
                folder = f"s3://{BUCKET}/{number}" if is_remote else str(disk / str(number))
                rounds.append(
                    runner.run(
                        Round(storage="s3" if is_remote else "local"),
                        folder,
                        expected,
                        proxy if is_remote else None,
                        disk if is_disk and not is_remote else None,
                        number,
                    )
                )
                with suppress(OSError):
                    locate(folder).remove_dir()
                num_hit = 0 if proxy is None else proxy.num_hit
                # After each round, so that an interrupted benchmark leaves something.
                table = _result(config, calm, rounds, num_hit).write(locate(config.output))
                progress.update(1)
    return table


class _Runner:
    """Runs all jobs, one after the other, each until it ends well."""

    def __init__(
        self, config: ChaosBenchmark, machines: Machines, audio_dir: Path, test_dir: Path
    ) -> None:
        self._config, self._machines = config, machines
        self._audio_dir, self._test_dir = audio_dir, test_dir

    def run(
        self,
        result: Round,
        folder: str,
        expected: Outcome | None = None,
        proxy: FaultyProxy | None = None,
        disk: Path | None = None,
        number: int = 0,
    ) -> Round:
        """Run a round.

        Args:
            result: Round to fill.
            folder: Folder of the jobs, or its URI.
            expected: What an undisturbed run has left; without it, nothing is disturbed.
            proxy: Proxy of the storage that is used.
            disk: Disk that is used, which can be filled.
            number: Number of the round.
        """
        config = self._config
        monkey = Monkey(
            self._machines,
            random.Random(f"{config.seed} {number}"),
            mean_interval_s=config.mean_interval_s,
            max_faults=0 if expected is None else config.max_faults,
            proxy=proxy,
            disk=disk,
        )
        for job in make_jobs(self._audio_dir, self._test_dir, folder):
            if not self._run_until_done(job, monkey, result):
                result.problems.append(f"{job.name} was not done after {config.max_attempts} runs")
                break
        else:
            result.problems += self._differences(folder, expected) + self._outliving()
        result.seconds, result.faults = monkey.seconds, monkey.faults
        return result

    def _run_until_done(self, job: Job, monkey: Monkey, result: Round) -> bool:
        for attempt in range(1, self._config.max_attempts + 1):
            result.attempts[job.name] = attempt
            code, errors = self._run(job, monkey, attempt)
            if code == 0:
                return True
            last = (errors.strip().splitlines() or [""])[-1]
            result.endings.append(
                {"job": job.name, "attempt": attempt, "code": code, "last line": last[:300]}
            )
            if code is None:
                result.problems.append(f"{job.name} was hanging after {self._config.timeout_s} s")
        return False

    def _run(self, job: Job, monkey: Monkey, attempt: int) -> tuple[int | None, str]:
        """Run a job once; return its exit code, None if it was hanging, and its standard error."""
        deadline = time.monotonic() + self._config.timeout_s
        with subprocess.Popen(
            job.command,
            env=os.environ | {"RAY_ADDRESS": self._machines.address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                while time.monotonic() < deadline:
                    try:
                        _, errors = process.communicate(timeout=_POLL_S)
                        return process.returncode, errors
                    except subprocess.TimeoutExpired:
                        monkey.watch(process, job.name, attempt)
            finally:
                process.kill()
                monkey.calm()
            _, errors = process.communicate()
            return None, errors

    def _differences(self, folder: str, expected: Outcome | None) -> list[str]:
        try:
            outcome = read_outcome(locate(folder))
        except Exception as error:  # what was left may be damaged in any way
            return [f"what was left cannot be read: {error}"]
        return [] if expected is None else outcome.differences(expected)

    def _outliving(self) -> list[str]:
        """Return tasks that still run although all jobs have ended."""
        deadline = time.monotonic() + _IDLE_S
        while (busy := self._machines.busy_workers()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return [f"outlived its job: {title}" for title in busy]


def _result(
    config: ChaosBenchmark, calm: Round, rounds: list[Round], num_hit: int
) -> BenchmarkResult:
    injected = Counter(fault.name for each in rounds for fault in each.faults)
    ended = Counter(_what_ended(each, ending) for each in rounds for ending in each.endings)
    num_equal = sum(not each.problems for each in rounds)
    num_runs = sum(sum(each.attempts.values()) for each in rounds)
    num_jobs = sum(len(each.attempts) for each in rounds)
    rows: list[tuple[str, ...]] = [
        (name, str(injected[name]), str(ended[name])) for name in sorted(injected | ended)
    ]
    rows += [
        ("all faults", str(sum(injected.values())), str(sum(ended.values()))),
        ("requests of storage that failed", str(num_hit), ""),
        ("rounds that ended as the undisturbed run", f"{num_equal} of {len(rounds)}", ""),
        ("runs of the jobs", f"{num_runs} for {num_jobs} jobs", ""),
        (
            "seconds: undisturbed, mean of the rounds",
            f"{calm.seconds:.0f}, {sum(each.seconds for each in rounds) / len(rounds):.0f}",
            "",
        ),
    ]
    return BenchmarkResult(
        name="chaos",
        settings={
            name: getattr(config, name)
            for name in ("num_rounds", "mean_interval_s", "max_faults", "timeout_s", "seed")
        },
        about=f"preprocess, tune_cnn, predict, train_cgan and generate on {NUM_NODES} nodes of one "
        "core and a head, with random faults; a job that fails is run again by the same command",
        measurements={
            "num_failed_requests": num_hit,
            "undisturbed": dataclasses.asdict(calm),
            "rounds": [
                dataclasses.asdict(each) | {"faults": [fault._asdict() for fault in each.faults]}
                for each in rounds
            ],
        },
        header=("fault", "injected", "ended a job's run"),
        rows=rows,
    )


def _what_ended(each: Round, ending: dict[str, object]) -> str:
    """Return the last fault before a job's run ended, of the same run."""
    during = [
        fault.name
        for fault in each.faults
        if (fault.job, fault.attempt) == (ending["job"], ending["attempt"])
    ]
    return during[-1] if during else "no fault in this run"
