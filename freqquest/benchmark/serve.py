"""Benchmark of the service: many clients send a clip of 4 seconds, each again and again."""

import json
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np

from freqquest.benchmark.detect_inputs import make_model, write_recording
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.serve_config import ServeBenchmark
from freqquest.benchmark.work_folder import job_command, work_folder
from freqquest.progress import Progress
from freqquest.storage import locate

_SETTINGS = ("num_clients", "num_requests", "max_batch", "num_runs")

_CLIP_S = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Load:
    """One run: a number of clients at one service."""

    max_batch: int
    num_clients: int
    start_s: float
    """Time from the command to the line that the service answers."""
    total_s: float
    """Time from the first request to the last answer."""
    request_s: list[float]
    """Time to each answer."""


def benchmark_serve(config: ServeBenchmark) -> str:
    """Measure the service, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty.
        RuntimeError: The service did not start.
        urllib.error.HTTPError: A request was refused.
    """
    with work_folder(config.work_dir) as work:
        work.mkdir(parents=True, exist_ok=True)
        write_recording(work / "clip.wav", _CLIP_S)
        clip = (work / "clip.wav").read_bytes()
        model = config.model or make_model(work)
        loads = list(_run_in_turn(config, model, clip))
    start_s = statistics.median(each.start_s for each in loads)
    return BenchmarkResult(
        name="serve",
        settings={name: getattr(config, name) for name in _SETTINGS},
        about=f"{config.num_requests} requests with a clip of {_CLIP_S:g} s to one replica on the "
        f"same machine, medians of {config.num_runs} interleaved runs; "
        f"{config.model or 'one untrained network of the preset default'}; none failed; the "
        f"service answered {start_s:.0f} s after its command",
        measurements={"runs": [asdict(each) for each in loads]},
        header=("requests in a batch", "clients", "answers/s", "median s", "95 % within s"),
        rows=[
            _row(batch, clients, loads)
            for clients in config.num_clients
            for batch in config.max_batch
        ],
    ).write(locate(config.output))


def _run_in_turn(config: ServeBenchmark, model: str, clip: bytes) -> Iterator[_Load]:
    with Progress("benchmark", config.num_runs * len(config.max_batch), "services") as progress:
        for _ in range(config.num_runs):
            for max_batch in config.max_batch:
                begun = time.perf_counter()
                with _service(model, max_batch) as address:
                    start_s = time.perf_counter() - begun
                    for num_clients in config.num_clients:
                        total_s, request_s = _ask(address, clip, num_clients, config.num_requests)
                        yield _Load(
                            max_batch=max_batch,
                            num_clients=num_clients,
                            start_s=start_s,
                            total_s=total_s,
                            request_s=request_s,
                        )
                progress.update(1)


@contextmanager
def _service(model: str, max_batch: int) -> Iterator[str]:
    """Start the job, yield its address, and stop it."""
    job = job_command("serve", model=model, port=0, max_batch=max_batch)
    process = subprocess.Popen(job, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("serving "):
            raise RuntimeError(f"the service of {model} did not start: start it by itself")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait()


def _ask(
    address: str, clip: bytes, num_clients: int, num_requests: int
) -> tuple[float, list[float]]:
    """Return the time of all requests, and of each one."""

    def classify(_: int) -> float:
        begun = time.perf_counter()
        request = urllib.request.Request(f"{address}/classify", clip)
        with urllib.request.urlopen(request, timeout=120) as response:
            json.load(response)
        return time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(num_clients) as clients:
        request_s = list(clients.map(classify, range(num_requests)))
    return time.perf_counter() - begun, request_s


def _row(max_batch: int, num_clients: int, loads: Sequence[_Load]) -> tuple[str, ...]:
    runs = [
        each for each in loads if (each.max_batch, each.num_clients) == (max_batch, num_clients)
    ]
    rate = statistics.median(len(each.request_s) / each.total_s for each in runs)
    half, most = (
        statistics.median(float(np.percentile(each.request_s, share)) for each in runs)
        for share in (50, 95)
    )
    return (str(max_batch), str(num_clients), f"{rate:.1f}", f"{half:.2f}", f"{most:.2f}")
