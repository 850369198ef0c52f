"""Benchmark of preprocessing: speed beside the recipes' loop and the machine's limit; memory."""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.peak_memory import peak_memory_mib
from freqquest.benchmark.preprocess_config import PreprocessBenchmark
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import (
    copy_clips,
    link_clips,
    preprocess_command,
    work_folder,
)
from freqquest.progress import Progress
from freqquest.storage import locate

_SETTINGS = ("num_clips", "num_naive_clips", "memory_clips", "num_runs")


def benchmark_preprocess(config: PreprocessBenchmark) -> str:
    """Measure preprocessing, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, or the audio folder has no clips.
    """
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        runs = _time_in_turn(config, clips, work)
        peaks_mib = _peaks_mib(config, clips, work)
    medians = {name: statistics.median(values) for name, values in runs.items()}
    return BenchmarkResult(
        name="preprocess",
        settings={name: getattr(config, name) for name in _SETTINGS},
        about=f"medians of {config.num_runs} interleaved runs of {config.num_clips} clips "
        f"(the recipes' loop: {config.num_naive_clips}); {len(clips)} "
        f"{'clips' if config.audio_dir else 'demo clips'}, linked repeatedly",
        measurements={"runs": runs | {"peak_memory_mib": peaks_mib}, "medians": medians},
        header=("what", "result", "times the recipes' loop"),
        rows=_rows(medians, peaks_mib, len(clips)),
    ).write(locate(config.output))


def _time_in_turn(
    config: PreprocessBenchmark, clips: list[Path], work: Path
) -> dict[str, list[float]]:
    """Return every run's clips per second, and the seconds of the whole command, by name."""
    many = link_clips(clips, config.num_clips, work / "many")
    runs: dict[str, list[float]] = {
        name: []
        for name in ("naive", "limit", "freqquest", "read", "command_s", "same_command_again_s")
    }
    with Progress("benchmark", config.num_runs, "rounds") as progress:
        for _ in range(config.num_runs):
            (recipe_s,) = _run("preprocess_recipe", [], many[: config.num_naive_clips])
            (limit_s,) = _run("preprocess_limit", [], many)
            freqquest_s, read = _run(
                "preprocess_freqquest", [str(work / "many"), str(work / "freqquest")], []
            )
            shutil.rmtree(work / "freqquest")
            command = preprocess_command(work / "clips", work / "cold")
            runs["naive"].append(min(config.num_naive_clips, len(many)) / recipe_s)
            runs["limit"].append(len(many) / limit_s)
            runs["freqquest"].append(len(many) / freqquest_s)
            runs["read"].append(read)
            runs["command_s"].append(_seconds(command))
            runs["same_command_again_s"].append(_seconds(command))
            shutil.rmtree(work / "cold")
            progress.update(1)
    return runs


def _run(program: str, arguments: list[str], paths: list[Path]) -> list[float]:
    """Run one of this package's programs and return the numbers that it prints."""
    command = [sys.executable, "-m", f"freqquest.benchmark.{program}", *arguments]
    done = subprocess.run(
        command, input="\n".join(map(str, paths)), stdout=subprocess.PIPE, text=True, check=True
    )
    return [float(line) for line in done.stdout.splitlines()]


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _peaks_mib(config: PreprocessBenchmark, clips: list[Path], work: Path) -> dict[str, float]:
    """Return the highest peak memory of any process, by number of clips."""
    peaks = {}
    for count in config.memory_clips:
        link_clips(clips, count, work / f"clips{count}")
        peaks[str(count)] = peak_memory_mib(
            preprocess_command(work / f"clips{count}", work / f"dataset{count}")
        )
        shutil.rmtree(work / f"dataset{count}")
    return peaks


def _rows(
    medians: dict[str, float], peaks_mib: dict[str, float], num_clips: int
) -> list[tuple[str, ...]]:
    recipe, limit, freqquest = medians["naive"], medians["limit"], medians["freqquest"]
    peaks = ", ".join(f"{mib:.0f} MiB at {count}" for count, mib in peaks_mib.items())
    again_s = medians["same_command_again_s"]
    return [
        ("the recipes' loop, one process, both views", f"{recipe:.0f} clips/s", "1.0"),
        (
            "freqquest, both views, Parquet written",
            f"{freqquest:.0f} clips/s",
            f"{freqquest / recipe:.1f}",
        ),
        (
            "bare loop on all cores, decoding and both views",
            f"{limit:.0f} clips/s",
            f"{limit / recipe:.1f}",
        ),
        ("freqquest's share of the bare loop", f"{freqquest / limit:.0%}", ""),
        ("reading the cnn view, one core, shuffled", f"{medians['read']:.0f} clips/s", ""),
        (
            f"whole command, {num_clips} clips, with Ray startup",
            f"{medians['command_s']:.1f} s",
            "",
        ),
        ("same command again", f"{again_s:.1f} s", ""),
        ("highest peak memory of any process", peaks, ""),
    ]
