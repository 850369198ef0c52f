"""Benchmark of preprocessing: speed beside the recipes' loop and a frozen one; memory; the plan."""

import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.peak_memory import peak_memory_mib
from freqquest.benchmark.preprocess_config import PreprocessBenchmark
from freqquest.benchmark.preprocess_files import (
    CLIPS_PER_FILE,
    join_clips,
    link_files,
    require_links,
)
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import (
    copy_clips,
    link_clips,
    preprocess_command,
    work_folder,
)
from freqquest.progress import Progress
from freqquest.storage import locate

_SETTINGS = ("num_clips", "num_naive_clips", "memory_clips", "plan_files", "num_runs")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Files:
    """Clips of the timed runs, hard-linked repeatedly. Each folder has a folder for each round."""

    clips: list[Path]
    """Links to the clips."""

    clips_dir: Path
    """Folder of the links to the clips."""

    long_dir: Path
    """Folder of long files, each of several clips."""

    short_dir: Path
    """Folder of the same sound in files of one clip."""


class _Plan(TypedDict):
    """Measurements of a plan of very many files."""

    num_files: int
    num_classes: int
    seconds: float
    peak_memory_mib: float


def benchmark_preprocess(config: PreprocessBenchmark) -> str:
    """Measure preprocessing, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, or the audio folder has no clips, unreadable ones,
            or too few for `plan_files`.
    """
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        require_links(clips, config.plan_files, "plan_files")
        runs = _time_in_turn(config, _make_files(config, clips, work), work)
        peaks_mib = _peaks_mib(config, clips, work)
        plan = _measure_plan(config, clips, work) if config.plan_files else None
    medians = {name: statistics.median(values) for name, values in runs.items()}
    return BenchmarkResult(
        name="preprocess",
        settings={name: getattr(config, name) for name in _SETTINGS},
        about=f"medians of {config.num_runs} interleaved runs of {config.num_clips:,} clips "
        f"(the recipes' loop: {config.num_naive_clips:,}); {len(clips):,} "
        f"{'clips' if config.audio_dir else 'demo clips'}, linked repeatedly",
        measurements={
            "runs": runs | {"peak_memory_mib": peaks_mib},
            "medians": medians,
            "plan": plan,
        },
        header=("what", "result", "compared"),
        rows=[
            *_speed_rows(medians),
            *_command_rows(medians, len(clips)),
            *(_plan_rows(plan) if plan else []),
            ("peak memory of any process", _describe_peaks(peaks_mib), ""),
        ],
    ).write(locate(config.output))


def _make_files(config: PreprocessBenchmark, clips: list[Path], work: Path) -> _Files:
    long_files, short_files = join_clips(clips, work / "long/clips", work / "short/clips")
    num_long = max(len(long_files), config.num_clips // CLIPS_PER_FILE)
    files = _Files(
        clips=link_clips(clips, config.num_clips, work / "many"),
        clips_dir=work / "many",
        long_dir=work / "long/many",
        short_dir=work / "short/many",
    )
    link_clips(long_files, num_long, files.long_dir)
    link_clips(short_files, num_long * CLIPS_PER_FILE, files.short_dir)
    return files


def _time_in_turn(config: PreprocessBenchmark, files: _Files, work: Path) -> dict[str, list[float]]:
    """Return every run's clips per second, and the seconds of the whole command, by name."""
    runs: dict[str, list[float]] = {}
    naive_clips = files.clips[: config.num_naive_clips]
    with Progress("benchmark", config.num_runs, "rounds") as progress:
        for _ in range(config.num_runs):
            (recipe_s,) = _run("preprocess_recipe", [], naive_clips)
            (limit_s,) = _run("preprocess_limit", [], files.clips)
            freqquest, read = _run_freqquest(files.clips_dir, "first", work)
            windows, _ = _run_freqquest(files.long_dir, "all", work)
            short_files, _ = _run_freqquest(files.short_dir, "first", work)
            command = preprocess_command(work / "clips", work / "cold")
            measured = {
                "naive": len(naive_clips) / recipe_s,
                "limit": len(files.clips) / limit_s,
                "freqquest": freqquest,
                "windows": windows,
                "short_files": short_files,
                "read": read,
                "command_s": _seconds(command),
                "same_command_again_s": _seconds(command),
            }
            shutil.rmtree(work / "cold")
            for name, value in measured.items():
                runs.setdefault(name, []).append(value)
            progress.update(1)
    return runs


def _run_freqquest(audio_dir: Path, windows: str, work: Path) -> tuple[float, float]:
    """Return the clips per second of making a dataset, and of reading it."""
    dataset_dir = work / "freqquest"
    arguments = [str(audio_dir), str(dataset_dir), windows]
    seconds, num_clips, read = _run("preprocess_freqquest", arguments, [])
    shutil.rmtree(dataset_dir)
    return num_clips / seconds, read


def _run(program: str, arguments: list[str], paths: list[Path]) -> list[float]:
    """Run one of this package's programs and return the numbers that it prints."""
    done = subprocess.run(
        _command(program, arguments),
        input="\n".join(map(str, paths)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.splitlines()]


def _command(program: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", f"freqquest.benchmark.{program}", *arguments]


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


def _measure_plan(config: PreprocessBenchmark, clips: list[Path], work: Path) -> _Plan:
    """Measure the whole process that plans a dataset of very many files, imports included."""
    num_classes = link_files(clips, config.plan_files, work / "plan")
    command = _command("preprocess_plan", [str(work / "plan"), str(work / "planned")])
    started = time.perf_counter()
    peak_mib = peak_memory_mib(command)
    return {
        "num_files": config.plan_files,
        "num_classes": num_classes,
        "seconds": time.perf_counter() - started,
        "peak_memory_mib": peak_mib,
    }


def _speed_rows(medians: dict[str, float]) -> list[tuple[str, ...]]:
    recipe, limit, freqquest = medians["naive"], medians["limit"], medians["freqquest"]
    windows, short_files = medians["windows"], medians["short_files"]
    return [
        ("the recipes' loop, one process, both views", f"{recipe:.0f} clips/s", ""),
        (
            "frozen loop (commit 6d09209), all cores, both views",
            f"{limit:.0f} clips/s",
            f"{limit / recipe:.1f} times the recipes' loop",
        ),
        (
            "freqquest, both views, Parquet written",
            f"{freqquest:.0f} clips/s",
            f"{freqquest / recipe:.1f} times the recipes' loop",
        ),
        ("freqquest's share of the frozen loop", f"{freqquest / limit:.0%}", ""),
        (
            f"freqquest, windows of files of {CLIPS_PER_FILE} clips",
            f"{windows:.0f} clips/s",
            f"{windows / short_files:.0%} of the same sound in files of one clip "
            f"({short_files:.0f} clips/s)",
        ),
        ("reading the cnn view, one core, shuffled", f"{medians['read']:.0f} clips/s", ""),
    ]


def _command_rows(medians: dict[str, float], num_clips: int) -> list[tuple[str, ...]]:
    again_s = medians["same_command_again_s"]
    return [
        (
            f"whole command from cold, {num_clips:,} clips, with Ray startup",
            f"{medians['command_s']:.1f} s",
            "",
        ),
        ("identical rerun", f"{again_s:.1f} s", ""),
    ]


def _plan_rows(plan: _Plan) -> list[tuple[str, ...]]:
    return [
        (
            f"plan of {plan['num_files']:,} local files in {plan['num_classes']} class folders",
            f"{plan['seconds']:.1f} s",
            f"peak memory {plan['peak_memory_mib']:.0f} MiB",
        )
    ]


def _describe_peaks(peaks_mib: dict[str, float]) -> str:
    return ", ".join(f"{mib:.0f} MiB with {int(count):,} clips" for count, mib in peaks_mib.items())
