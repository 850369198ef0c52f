"""Benchmark of preprocessing on clusters of one-core nodes of this machine.

Its speed gives an estimate of the cost of very many clips on a large cluster.
"""

import dataclasses
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import TypedDict

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.machine import can_bind_to_cores, usable_cores
from freqquest.benchmark.one_core_nodes import one_core_nodes
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.scale_config import ScaleBenchmark
from freqquest.benchmark.scale_estimate import UnitCosts, estimate, estimate_rows
from freqquest.benchmark.work_folder import (
    copy_clips,
    link_clips,
    preprocess_command,
    work_folder,
)
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

_PATHS = ("audio_dir", "work_dir", "output")


class Runs(TypedDict):
    """Measurements of all runs."""

    seconds: dict[str, dict[str, list[float]]]
    """Seconds of each run, by number of nodes and number of clips."""
    dataset_bytes: int
    """Size of the larger dataset."""
    bound_to_cores: bool
    """True if each node was bound to one core."""


def benchmark_scale(config: ScaleBenchmark) -> str:
    """Measure and estimate, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, the audio folder has no clips, or a run failed.
    """
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        for count in config.num_clips:
            link_clips(clips, count, work / f"clips{count}")
        runs = _time_in_turn(config, work)
        audio_bytes = statistics.fmean(clip.stat().st_size for clip in clips)
    speeds = {nodes: _speed_and_start(config, runs["seconds"][nodes]) for nodes in runs["seconds"]}
    clips_per_s, start_s = speeds["1"]
    costs = UnitCosts(
        clips_per_s=clips_per_s,
        start_s=start_s,
        audio_bytes=audio_bytes,
        dataset_bytes=runs["dataset_bytes"] / config.num_clips[1],
    )
    settings = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in _PATHS
    }
    return BenchmarkResult(
        name="scale",
        settings=settings,
        about=_about(config, f"{len(clips)} {'clips' if config.audio_dir else 'demo clips'}"),
        measurements={
            "runs": runs,
            "parts": dataclasses.asdict(costs),
            "model": estimate(config, costs),
        },
        header=("what", "result", "note"),
        rows=[*_measured_rows(speeds, costs), *estimate_rows(config, costs)],
    ).write(locate(config.output))


def _about(config: ScaleBenchmark, clips: str) -> str:
    few, many = config.num_clips
    unbound = "" if can_bind_to_cores() else " Nodes are not bound to cores: this platform cannot."
    return (
        f"medians of {config.num_runs} interleaved runs of {few} and {many} clips "
        f"({clips}, linked repeatedly).{unbound} The estimate for the cluster assumes that a core "
        f"of its {config.cluster_nodes} nodes with {config.cores_per_node} cores is as fast as "
        "one of this machine, that storage keeps up, and that nodes start in "
        f"{config.node_start_s:.0f} s, in steps to 1, 2, 4 and so on"
    )


def _time_in_turn(config: ScaleBenchmark, work: Path) -> Runs:
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
                            _preprocess_s(work / f"clips{count}", dataset, cluster.address)
                        )
                        num_bytes = sum(path.stat().st_size for path in dataset.rglob("*.parquet"))
                        shutil.rmtree(dataset)
                progress.update(1)
    return {
        "seconds": seconds,
        "dataset_bytes": num_bytes,
        "bound_to_cores": can_bind_to_cores(),
    }


def _preprocess_s(clips: Path, dataset: Path, address: str) -> float:
    """Run the whole preprocess job on a cluster and return its seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        preprocess_command(clips, dataset),
        env=os.environ | {"RAY_ADDRESS": address},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise UserError("preprocessing failed, for the reason above")
    return time.perf_counter() - started


def _speed_and_start(
    config: ScaleBenchmark, seconds: dict[str, list[float]]
) -> tuple[float, float]:
    """Return the clips per second of all nodes together, and the seconds that all runs need."""
    few, many = config.num_clips
    few_s, many_s = (statistics.median(seconds[str(count)]) for count in (few, many))
    if many_s <= few_s:
        raise UserError(
            f"{many} clips took no longer than {few}: pass larger numbers as `num_clips`, or try "
            "again later"
        )
    clips_per_s = (many - few) / (many_s - few_s)
    return clips_per_s, few_s - few / clips_per_s


def _measured_rows(
    speeds: dict[str, tuple[float, float]], costs: UnitCosts
) -> list[tuple[str, ...]]:
    cores = len(usable_cores())
    rows: list[tuple[str, ...]] = []
    for nodes, (clips_per_s, start_s) in speeds.items():
        note = f"{clips_per_s / costs.clips_per_s:.2f} times one node; startup {start_s:.1f} s"
        shared = f"; {nodes} nodes share {cores} cores" if int(nodes) > cores else ""
        rows.append((f"{nodes} one-core node(s)", f"{clips_per_s:.0f} clips/s", note + shared))
    return [
        *rows,
        ("audio file of a clip", f"{costs.audio_bytes / 1e3:.0f} kB", ""),
        ("a clip in the dataset", f"{costs.dataset_bytes / 1e3:.0f} kB", "both views"),
    ]
