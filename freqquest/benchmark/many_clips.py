"""Benchmark of very many clips: time and peak memory of each job, and sizes of what it leaves."""

import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from freqquest.audio.demo_clips import write_demo_clips
from freqquest.benchmark.many_clips_config import ManyClipsBenchmark
from freqquest.benchmark.many_clips_dataset import repeat_rows
from freqquest.benchmark.peak_memory import peak_memories_mib
from freqquest.benchmark.preprocess_files import require_links
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import copy_clips, job_command, work_folder
from freqquest.dataset.manifest import MANIFEST_NAME
from freqquest.progress import Progress
from freqquest.runs import layout
from freqquest.storage import locate

_CLIP = {"sample_rate": 8000, "duration": 1, "num_mels": 32}
_SMALL = ("num_blocks=1", "num_filters=4", "normalization=dataset", "mixup=0")
_CLIPS_PER_RECORDING = 20


class Usage(TypedDict):
    """What one command took."""

    seconds: float
    peaks_mib: dict[str, float]
    """Highest memory of any process of a kind, in MiB."""
    num_clips: int
    """Clips that it was run with."""


class Run(TypedDict):
    """Measurements with one number of clips."""

    plan: Usage
    preprocess: Usage
    tune: Usage
    predict: Usage
    bytes_of: dict[str, int]
    """Sizes of what is left, by name."""


def benchmark_many_clips(config: ManyClipsBenchmark) -> str:
    """Measure all jobs, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, or the audio folder has no clips or too few for as
            many links.
        RuntimeError: A job failed.
    """
    runs: dict[str, Run] = {}
    with work_folder(config.work_dir) as work:
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = copy_clips(Path(audio_dir), work / "clips")
        require_links(_evenly(clips), config.num_clips[-1] + config.max_decoded, "num_clips")
        with Progress("benchmark", len(config.num_clips), "sizes") as progress:
            for count in config.num_clips:
                folder = work / str(count)
                runs[str(count)] = _measure(config, clips, count, folder)
                shutil.rmtree(folder)
                progress.update(1)
    return BenchmarkResult(
        name="many_clips",
        settings={
            name: getattr(config, name) for name in ("num_clips", "max_decoded", "num_steps")
        },
        about="every job with links to a few clips of 1 s at 8 kHz, in recordings of "
        f"{_CLIPS_PER_RECORDING}; of more than {config.max_decoded:,} clips, as many were decoded "
        "(*), and the rows of the dataset repeated",
        measurements={"runs": runs},
        header=("what", *(f"{count:,} clips" for count in config.num_clips)),
        rows=_rows(config, list(runs.values())),
    ).write(locate(config.output))


def _measure(config: ManyClipsBenchmark, clips: list[Path], count: int, folder: Path) -> Run:
    num_decoded = min(count, config.max_decoded)
    dataset, run, output = folder / "dataset", folder / "run", folder / layout.SUBMISSION_NAME
    _link(clips, range(num_decoded), folder / "decoded")
    _link(clips, range(count), folder / "all")
    plan = [sys.executable, "-m", "freqquest.benchmark.preprocess_plan"]
    planned = _usage([*plan, str(folder / "all"), str(folder / "planned")], count)
    decoded = folder / "decoded"
    preprocessed = _usage(
        job_command("preprocess", audio_dir=decoded, dataset_dir=dataset, **_CLIP), num_decoded
    )
    if count > num_decoded:
        small = dataset.rename(folder / "small")
        repeat_rows(locate(small), count, locate(dataset))
    # About four fifths of the clips are for training.
    batch_size = max(1, round(0.8 * count / config.num_steps))
    tuned = _usage(
        job_command(
            "tune_cnn",
            dataset_dir=dataset,
            run_dir=run,
            num_trials=1,
            max_epochs=1,
            num_members=0,
            only=(*_SMALL, f"batch_size={batch_size}"),
        ),
        count,
    )
    predicted = _usage(
        job_command("predict", model=run / layout.MODEL_NAME, audio_dir=decoded, output=output),
        num_decoded,
    )
    return {
        "plan": planned,
        "preprocess": preprocessed,
        "tune": tuned,
        "predict": predicted,
        "bytes_of": {
            "manifest": (dataset / MANIFEST_NAME).stat().st_size,
            "shards": _num_bytes(dataset.rglob("*.parquet")),
            "report": (run / layout.REPORT_NAME).stat().st_size,
            "TensorBoard logs": _num_bytes((run / layout.TENSORBOARD_DIR).rglob("*")),
            "run folder": _num_bytes(run.rglob("*")),
        },
    }


def _evenly(clips: list[Path]) -> list[Path]:
    """Return as many clips of each class as the smallest one has: links are divided evenly."""
    by_class = _by_class(clips)
    smallest = min(map(len, by_class.values()))
    return [clip for of_class in by_class.values() for clip in of_class[:smallest]]


def _by_class(clips: list[Path]) -> dict[str, list[Path]]:
    by_class: dict[str, list[Path]] = {}
    for clip in clips:
        by_class.setdefault(clip.parent.name, []).append(clip)
    return by_class


def _link(clips: list[Path], numbers: Iterable[int], target: Path) -> None:
    """Hard-link clips repeatedly, with names of Speech Commands, in recordings of one class."""
    by_class = _by_class(clips)
    labels = sorted(by_class)
    for label in labels:
        (target / label).mkdir(parents=True)
    for number in numbers:
        recording, piece = divmod(number, _CLIPS_PER_RECORDING)
        label = labels[recording % len(labels)]
        clip = by_class[label][number % len(by_class[label])]
        os.link(clip, target / label / f"{recording:08x}_nohash_{piece}{clip.suffix}")


def _usage(command: list[str], num_clips: int) -> Usage:
    started = time.perf_counter()
    peaks = peak_memories_mib(command)
    return {
        "seconds": time.perf_counter() - started,
        "peaks_mib": peaks,
        "num_clips": num_clips,
    }


def _num_bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _rows(config: ManyClipsBenchmark, runs: list[Run]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    stages = ("plan", "preprocess", "tune", "predict")
    for stage in stages:
        usages: list[Usage] = [run[stage] for run in runs]  # type: ignore[literal-required]
        cells = [
            _seconds(usage, count) for usage, count in zip(usages, config.num_clips, strict=True)
        ]
        rows.append((f"{stage}: seconds", *cells))
        kinds = sorted({kind for usage in usages for kind in usage["peaks_mib"]})
        for kind in kinds:
            peaks = [usage["peaks_mib"].get(kind) for usage in usages]
            shown = (
                "" if peak is None else f"{peak:,.0f} MiB{_mark(usage, count)}"
                for peak, usage, count in zip(peaks, usages, config.num_clips, strict=True)
            )
            rows.append((f"{stage}: {kind}", *shown))
    for name in runs[0]["bytes_of"]:
        sizes = (run["bytes_of"][name] / 1e6 for run in runs)
        rows.append((name, *(f"{size:,.1f} MB" for size in sizes)))
    return rows


def _seconds(usage: Usage, count: int) -> str:
    if not _mark(usage, count):
        return f"{usage['seconds']:,.0f}"
    reckoned = usage["seconds"] * count / usage["num_clips"]
    return f"{usage['seconds']:,.0f}* ({reckoned:,.0f} reckoned)"


def _mark(usage: Usage, count: int) -> str:
    """Return the mark of what was measured with fewer clips."""
    return "" if usage["num_clips"] == count else "*"
