"""Time preprocessing beside the recipes' loop and the machine's limit, in turn, and take its memory."""

import dataclasses
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.config import PreprocessBenchmark
from freqquest.benchmark.memory import peak_memory_mib
from freqquest.benchmark.report import Report
from freqquest.benchmark.work import copy_clips, link_clips, work_folder
from freqquest.progress import Progress
from freqquest.storage import locate

_JOB = Path(__file__).parents[2] / "jobs" / "preprocess.py"


def benchmark_preprocess(config: PreprocessBenchmark) -> str:
    """Measure, write the figures as JSON and as a table, and return the table.

    Raises:
        UserError: The work folder holds something, or the audio folder has no clips.
    """
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        figures = _time_in_turn(config, clips, work) | {
            "peak_memory_mib": _memory(config, clips, work)
        }
    medians = {
        name: statistics.median(values)
        for name, values in figures.items()
        if isinstance(values, list)
    }
    settings = dataclasses.asdict(config)
    report = Report(
        command="preprocess",
        settings={
            name: value
            for name, value in settings.items()
            if name not in ("audio_dir", "work_dir", "output")
        },
        about=f"medians of {config.num_runs} runs in turn, of {config.num_clips} clips (the recipes' loop: "
        f"{config.num_naive_clips}); {len(clips)} {'clips' if config.audio_dir else 'demo clips'}, linked several "
        "times over",
        figures={"runs": figures, "medians": medians},
        header=("what", "figure", "times the recipes' loop"),
        rows=_rows(medians, figures["peak_memory_mib"], len(clips)),
    )
    return report.write(locate(config.output))


def _time_in_turn(config: PreprocessBenchmark, clips: list[Path], work: Path) -> dict[str, Any]:
    """Every run's figure: clips/s of the four, seconds of the whole command."""
    many = link_clips(clips, config.num_clips, work / "many")
    figures: dict[str, Any] = {
        name: []
        for name in ("naive", "limit", "freqquest", "read", "command_s", "same_command_again_s")
    }
    with Progress("benchmark", config.num_runs, "rounds") as progress:
        for _ in range(config.num_runs):
            (naive_s,) = _run("naive", [], many[: config.num_naive_clips])
            (limit_s,) = _run("limit", [], many)
            ours_s, read = _run("ours", [str(work / "many"), str(work / "ours")], [])
            shutil.rmtree(work / "ours")
            command = _command(work / "clips", work / "cold")
            figures["naive"].append(min(config.num_naive_clips, len(many)) / naive_s)
            figures["limit"].append(len(many) / limit_s)
            figures["freqquest"].append(len(many) / ours_s)
            figures["read"].append(read)
            figures["command_s"].append(_seconds(command))
            figures["same_command_again_s"].append(_seconds(command))
            shutil.rmtree(work / "cold")
            progress.update(1)
    return figures


def _run(program: str, arguments: list[str], paths: list[Path]) -> list[float]:
    """The figures that one of this room's programs prints."""
    command = [sys.executable, "-m", f"freqquest.benchmark.{program}", *arguments]
    done = subprocess.run(
        command, input="\n".join(map(str, paths)), stdout=subprocess.PIPE, text=True, check=True
    )
    return [float(line) for line in done.stdout.splitlines()]


def _command(audio_dir: Path, dataset_dir: Path) -> list[str]:
    return [
        sys.executable,
        str(_JOB),
        "--audio-dir",
        str(audio_dir),
        "--dataset-dir",
        str(dataset_dir),
    ]


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _memory(config: PreprocessBenchmark, clips: list[Path], work: Path) -> dict[str, float]:
    """The largest peak of any process, by number of clips."""
    peaks = {}
    for count in config.memory_clips:
        link_clips(clips, count, work / f"clips{count}")
        peaks[str(count)] = peak_memory_mib(
            _command(work / f"clips{count}", work / f"dataset{count}")
        )
        shutil.rmtree(work / f"dataset{count}")
    return peaks


def _rows(
    medians: dict[str, float], peaks: dict[str, float], num_clips: int
) -> list[tuple[str, ...]]:
    """The table's rows."""
    naive, limit, ours = medians["naive"], medians["limit"], medians["freqquest"]
    peak = ", ".join(f"{mib:.0f} MiB at {count}" for count, mib in peaks.items())
    return [
        ("the recipes' loop, one process, both views", f"{naive:.0f} clips/s", "1.0"),
        ("freqquest, both views, Parquet written", f"{ours:.0f} clips/s", f"{ours / naive:.1f}"),
        (
            "bare loop on all cores: decoding and both views",
            f"{limit:.0f} clips/s",
            f"{limit / naive:.1f}",
        ),
        ("freqquest's share of the bare loop", f"{ours / limit:.0%}", ""),
        ("reading the cnn view again, one core, shuffled", f"{medians['read']:.0f} clips/s", ""),
        (
            f"the whole command, {num_clips} clips, Ray's start included",
            f"{medians['command_s']:.1f} s",
            "",
        ),
        ("the same command again", f"{medians['same_command_again_s']:.1f} s", ""),
        ("largest peak memory of any process", peak, ""),
    ]
