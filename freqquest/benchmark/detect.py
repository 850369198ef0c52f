"""Benchmark of detection in long recordings: speed of the whole job, beside a plain loop."""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from freqquest.benchmark.detect_config import DetectBenchmark
from freqquest.benchmark.detect_inputs import RATE_HZ, make_model, write_recording
from freqquest.benchmark.peak_memory import peak_memory_mib
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import job_command, work_folder
from freqquest.progress import Progress
from freqquest.storage import locate

_SETTINGS = ("hours", "num_loop_windows", "hop", "num_runs")
_LOOP = "loop"


def benchmark_detect(config: DetectBenchmark) -> str:
    """Measure detection, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty.
    """
    with work_folder(config.work_dir) as work:
        recordings = _make_recordings(config, work)
        model = config.model or make_model(work)
        runs = _time_in_turn(config, model, recordings, work)
        longest = max(recordings)
        peak_mib = peak_memory_mib(_job(config, model, recordings[longest], work))
    medians = {name: statistics.median(values) for name, values in runs.items()}
    return BenchmarkResult(
        name="detect",
        settings={name: getattr(config, name) for name in _SETTINGS},
        about=f"medians of {config.num_runs} interleaved runs; noise at {RATE_HZ:,} Hz, windows "
        f"every {config.hop:g} s, {_describe_model(config)}; the job from its command to the "
        "written events, with Ray's startup",
        measurements={"runs": runs, "medians": medians, "peak_memory_mib": peak_mib},
        header=("what", "seconds", "times real time", "compared"),
        rows=[*_rows(config, medians), _memory_row(peak_mib, longest)],
    ).write(locate(config.output))


def _make_recordings(config: DetectBenchmark, work: Path) -> dict[float, Path]:
    """Make a folder with a recording of each length, and return them by hours."""
    folders = {}
    for hours in sorted(config.hours):
        folders[hours] = work / f"{hours:g}h"
        folders[hours].mkdir(parents=True)
        write_recording(folders[hours] / "recording.wav", 3600 * hours)
    return folders


def _time_in_turn(
    config: DetectBenchmark, model: str, recordings: dict[float, Path], work: Path
) -> dict[str, list[float]]:
    """Return the seconds of every run, by hours of the recording, or of the loop."""
    runs: dict[str, list[float]] = {}
    loop = [sys.executable, "-m", "freqquest.benchmark.detect_loop", model]
    loop += [str(recordings[max(recordings)] / "recording.wav")]
    loop += [str(config.hop), str(config.num_loop_windows)]
    with Progress("benchmark", config.num_runs, "rounds") as progress:
        for _ in range(config.num_runs):
            done = subprocess.run(
                loop, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
            )
            runs.setdefault(_LOOP, []).append(float(done.stdout))
            for hours, folder in recordings.items():
                started = time.perf_counter()
                subprocess.run(
                    _job(config, model, folder, work), stderr=subprocess.DEVNULL, check=True
                )
                runs.setdefault(f"{hours:g}", []).append(time.perf_counter() - started)
            progress.update(1)
    return runs


def _job(config: DetectBenchmark, model: str, folder: Path, work: Path) -> list[str]:
    """Return the command of the job, whose earlier output is removed."""
    shutil.rmtree(work / "events", ignore_errors=True)
    output = work / "events" / "events.csv"
    return job_command("detect", model=model, audio_dir=folder, output=output, hop=config.hop)


def _describe_model(config: DetectBenchmark) -> str:
    return config.model or "one untrained network of the preset default"


def _rows(config: DetectBenchmark, medians: dict[str, float]) -> list[tuple[str, ...]]:
    loop_speed = config.num_loop_windows * config.hop / medians[_LOOP]
    rows: list[tuple[str, ...]] = [
        (
            f"plain loop, {config.num_loop_windows:,} windows, librosa, batches of 64, all cores",
            f"{medians[_LOOP]:.1f}",
            f"{loop_speed:.0f}",
            "",
        )
    ]
    hours = sorted(config.hours)
    for length in hours:
        seconds = medians[f"{length:g}"]
        speed = 3600 * length / seconds
        rows.append(_row(f"the job, {length:g} h", seconds, speed, loop_speed))
    if len(hours) > 1:
        first, last = hours[0], hours[-1]
        seconds = (medians[f"{last:g}"] - medians[f"{first:g}"]) / (last - first)
        rows.append(_row("the job, each further hour", seconds, 3600 / seconds, loop_speed))
    return rows


def _row(what: str, seconds: float, speed: float, loop_speed: float) -> tuple[str, ...]:
    compared = f"{speed / loop_speed:.1f} times the loop"
    return (what, f"{seconds:.1f}", f"{speed:.0f}", compared)


def _memory_row(peak_mib: float, hours: float) -> tuple[str, ...]:
    return (f"peak memory of any process, {hours:g} h", "", "", f"{peak_mib:.0f} MiB")
