"""The same preprocessing on clusters of 1, 2 and 3 one-core nodes, and from that what many clips cost on a large one.

Each node is a Ray node of its own on this machine, bound to one core, beside a head that runs no work.
"""

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.config import ScaleBenchmark
from freqquest.benchmark.report import Report
from freqquest.benchmark.work import copy_clips, link_clips, work_folder
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

_JOB = Path(__file__).parents[2] / "jobs" / "preprocess.py"
_OBJECT_STORE_BYTES = 100 * 2**20
_MANY = (10**6, 10**8)

_CNN_BYTES = 128 * 173 * 2
"""Of a clip in the memory of a search, which holds all clips: `[128, 173]`, float16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the cost of many clips is reckoned from."""

    clips_per_s: float
    """Of one core."""
    start_s: float
    """From the command to the first clip, and from the last one to the end."""
    audio_bytes: float
    """Of a clip."""
    dataset_bytes: float
    """Of a clip."""


def benchmark_scale(config: ScaleBenchmark) -> str:
    """Measure, write the figures as JSON and as a table, and return the table.

    Raises:
        UserError: The work folder holds something, the audio folder has no clips, or a run failed.
    """
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        for count in config.num_clips:
            link_clips(clips, count, work / f"clips{count}")
        runs = _time_in_turn(config, work)
        audio_bytes = statistics.fmean(clip.stat().st_size for clip in clips)
    rates = {count: _rate(config, seconds) for count, seconds in runs["seconds"].items()}
    clips_per_s, start_s = rates["1"]
    parts = Parts(
        clips_per_s=clips_per_s,
        start_s=start_s,
        audio_bytes=audio_bytes,
        dataset_bytes=runs["dataset_bytes"] / config.num_clips[1],
    )
    report = Report(
        command="scale",
        settings={
            name: value for name, value in dataclasses.asdict(config).items() if name not in _PLACES
        },
        about=f"medians of {config.num_runs} runs in turn, of {config.num_clips[0]} and {config.num_clips[1]} clips "
        f"({len(clips)} {'clips' if config.audio_dir else 'demo clips'}, linked several times over); the cluster's "
        f"figures assume that {_assumptions(config)}",
        figures={"runs": runs, "parts": dataclasses.asdict(parts), "model": _model(config, parts)},
        header=("what", "figure", "note"),
        rows=[*_measured_rows(rates, parts), *_model_rows(config, parts)],
    )
    return report.write(locate(config.output))


_PLACES = ("audio_dir", "work_dir", "output")


def _assumptions(config: ScaleBenchmark) -> str:
    return (
        f"a core of its {config.cluster_nodes} nodes with {config.cores_per_node} cores is as fast as one of this "
        f"machine, storage keeps up, and nodes start in {config.node_start_s:.0f} s, 1, 2, 4 and so on at a time"
    )


def _time_in_turn(config: ScaleBenchmark, work: Path) -> dict[str, Any]:
    """Seconds of every run, by nodes and clips; bytes of the larger dataset."""
    seconds: dict[str, dict[str, list[float]]] = {
        str(nodes): {str(count): [] for count in config.num_clips} for nodes in config.num_nodes
    }
    num_bytes = 0
    with Progress("benchmark", config.num_runs * len(config.num_nodes), "clusters") as progress:
        for _ in range(config.num_runs):
            for nodes in config.num_nodes:
                with one_core_nodes(nodes) as cluster:
                    for count in config.num_clips:
                        dataset = work / "dataset"
                        seconds[str(nodes)][str(count)].append(
                            _preprocess(work / f"clips{count}", dataset, cluster.address)
                        )
                        num_bytes = sum(path.stat().st_size for path in dataset.rglob("*.parquet"))
                        shutil.rmtree(dataset)
                progress.update(1)
    return {"seconds": seconds, "dataset_bytes": num_bytes}


@contextmanager
def one_core_nodes(count: int) -> "Iterator[Cluster]":
    """A cluster on this machine, which no other program finds by itself: a head that takes no work, and so many nodes,
    each bound to a core (or sharing one, where there are too few).
    """
    from ray.cluster_utils import Cluster

    from freqquest.cluster import connection

    connection.prepare_environment()
    cores = sorted(os.sched_getaffinity(0))
    with (
        mock.patch("ray._private.utils.write_ray_address"),
        mock.patch("ray._common.utils.reset_ray_address"),
    ):
        nodes = Cluster()
        try:
            for number in range(-1, count):
                # What this process starts inherits the cores that it is bound to.
                os.sched_setaffinity(0, cores if number < 0 else {cores[number % len(cores)]})
                num_cpus = 0 if number < 0 else 1
                nodes.add_node(
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                )
            os.sched_setaffinity(0, cores)
            yield nodes
        finally:
            os.sched_setaffinity(0, cores)
            nodes.shutdown()


def _preprocess(clips: Path, dataset: Path, address: str) -> float:
    """Seconds that the whole command takes."""
    started = time.perf_counter()
    command = [sys.executable, str(_JOB), "--audio-dir", str(clips), "--dataset-dir", str(dataset)]
    done = subprocess.run(
        command, env=os.environ | {"RAY_ADDRESS": address}, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise UserError("preprocessing failed, for the reason above")
    return time.perf_counter() - started


def _rate(config: ScaleBenchmark, seconds: dict[str, list[float]]) -> tuple[float, float]:
    """Clips/s of all nodes together, and the seconds that do not depend on the number of clips."""
    few, many = config.num_clips
    few_s, many_s = (statistics.median(seconds[str(count)]) for count in (few, many))
    if many_s <= few_s:
        raise UserError(
            f"{many} clips took no longer than {few}: give --num-clips more of them, or try again later"
        )
    rate = (many - few) / (many_s - few_s)
    return rate, few_s - few / rate


def _model(config: ScaleBenchmark, parts: Parts) -> dict[str, dict[str, float]]:
    """What so many clips take on the cluster."""
    return {
        str(count): {
            **_hours(config, parts, count),
            "audio_tb": count * parts.audio_bytes / 1e12,
            "dataset_tb": count * parts.dataset_bytes / 1e12,
            "search_memory_gb": count * _CNN_BYTES / 1e9,
        }
        for count in _MANY
    }


def _hours(config: ScaleBenchmark, parts: Parts, count: int) -> dict[str, float]:
    """Of the cluster, and of its nodes together. Nodes come in steps: Ray Data asks for twice what is at work."""
    node_clips_per_s = parts.clips_per_s * config.cores_per_node
    nodes, seconds, node_seconds, left = 0, parts.start_s, 0.0, float(count)
    while nodes < config.cluster_nodes and left > (
        meanwhile := nodes * node_clips_per_s * config.node_start_s
    ):
        left -= meanwhile
        nodes = min(max(1, 2 * nodes), config.cluster_nodes)
        seconds += config.node_start_s
        node_seconds += nodes * config.node_start_s
    rest_s = left / node_clips_per_s
    return {
        "hours": (seconds + rest_s / nodes) / 3600,
        "node_hours": (node_seconds + rest_s) / 3600,
    }


def _measured_rows(rates: dict[str, tuple[float, float]], parts: Parts) -> list[tuple[str, ...]]:
    cores = len(os.sched_getaffinity(0))
    rows: list[tuple[str, ...]] = []
    for nodes, (rate, start_s) in rates.items():
        note = f"{rate / parts.clips_per_s:.2f} times one node; start {start_s:.1f} s"
        shared = f"; {nodes} nodes share {cores} cores" if int(nodes) > cores else ""
        rows.append((f"{nodes} one-core node(s)", f"{rate:.0f} clips/s", note + shared))
    return [
        *rows,
        ("a clip's audio file", f"{parts.audio_bytes / 1e3:.0f} kB", ""),
        ("a clip in the dataset", f"{parts.dataset_bytes / 1e3:.0f} kB", "both views"),
    ]


def _model_rows(config: ScaleBenchmark, parts: Parts) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for count, figures in _model(config, parts).items():
        name = f"{int(count) // 10**6} M clips"
        on = f"on {config.cluster_nodes} nodes of {config.cores_per_node} cores: {figures['node_hours']:.2g} node-hours"
        rows += [
            (f"{name}, preprocessing", f"{figures['hours']:.2g} h", on),
            (
                f"{name}, storage",
                f"{figures['audio_tb']:.1f} + {figures['dataset_tb']:.1f} TB",
                "audio + dataset",
            ),
            (
                f"{name}, a search",
                f"{figures['search_memory_gb']:.0f} GB",
                "memory of each node with trials, which hold all clips",
            ),
        ]
    return rows
