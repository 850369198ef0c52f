"""Time the generator's training beside the recipe's plain loop and the networks' bare arithmetic, in turn."""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from freqquest.benchmark.cgan_runs import (
    TUNED,
    BareRun,
    NaiveRun,
    OurRun,
    Run,
    clips_per_s,
    compare_losses,
    time_workers,
)
from freqquest.benchmark.config import CganBenchmark
from freqquest.benchmark.naive_cgan import BATCH_SIZE, RecipeClips
from freqquest.benchmark.report import Report
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest, load_manifest
from freqquest.dataset.read import read_rows
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

_NAMES = {
    "naive": "the recipe's plain loop",
    "reference": "freqquest, preset `reference` (the same networks, float32)",
    "reference_bfloat16": "freqquest, the same networks, bfloat16",
    "default": "freqquest, preset `default`",
}


def benchmark_cgan(config: CganBenchmark) -> str:
    """Measure, write the figures as JSON and as a table, and return the table.

    Raises:
        UserError: The dataset or its audio files are not usable, or there is no GPU.
    """
    if config.use_gpu and not torch.cuda.is_available():
        raise UserError("--use-gpu: this machine has no GPU that PyTorch can use")
    device = torch.device("cuda" if config.use_gpu else "cpu")
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    clips = recipe_clips(config.dataset_dir, manifest)
    cores = min(len(os.sched_getaffinity(0)), BATCH_SIZE)
    with _threads(cores):
        ours = {
            name: OurRun(name, config.dataset_dir, device) for name in _NAMES if name != "naive"
        }
        same_networks = {name: run for name, run in ours.items() if name != "default"}
        losses = compare_losses(same_networks, config.num_agreement_steps)
        runs: dict[str, Run] = {"naive": NaiveRun(clips, len(manifest.classes), device), **ours}
        runs |= {f"bare_{name}": BareRun(ours[name]) for name in TUNED}
        speeds = _run_in_turn(runs, config, device, cores)
        gpu = {name: _gpu_figures(runs[name], speeds[name]) for name in _NAMES if config.use_gpu}
    summary = _summarize(speeds, losses) | {"gpu": gpu}
    about = f"{len(clips)} clips, batches of {BATCH_SIZE}, {cores} threads; medians of {config.num_runs} runs in turn"
    return Report(
        command="cgan",
        settings={
            name: getattr(config, name)
            for name in ("num_steps", "num_runs", "num_agreement_steps", "use_gpu")
        },
        about=f"{about}, of {config.num_steps} steps each",
        figures={"summary": summary, "clips_per_s": speeds, "losses": losses},
        header=("what", "clips/s", "compared"),
        rows=_rows(summary, cores),
    ).write(locate(config.output))


def recipe_clips(dataset_dir: str, manifest: Manifest) -> RecipeClips:
    """The training split's audio files.

    Raises:
        UserError: They do not lie where they were when the dataset was made.
    """
    rows = read_rows(locate(dataset_dir), manifest, "train")
    rows = rows[rows["augmentation"] == NOT_AUGMENTED]
    paths = rows["path"].tolist()
    missing = next((path for path in paths if not Path(path).is_file()), None)
    if missing is not None:
        raise UserError(
            f"{missing} is missing: the recipe's loop reads the files that {dataset_dir} was made from"
        )
    return RecipeClips(paths, rows["class_index"].tolist())


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_in_turn(
    runs: dict[str, Run], config: CganBenchmark, device: torch.device, cores: int
) -> dict[str, list[float]]:
    """Clips per second of each run of each; of several workers only on CPUs."""
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    with Progress(
        "benchmark", config.num_runs * (len(runs) + (not config.use_gpu)), "runs"
    ) as progress:
        for _ in range(config.num_runs):
            for name, run in runs.items():
                tuned = name.removeprefix("bare_") in TUNED
                speeds[name].append(clips_per_s(run, config.num_steps, device, tuned=tuned))
                progress.update(1)
            if not config.use_gpu:
                for name, speed in time_workers(
                    config.dataset_dir, config.num_steps, cores
                ).items():
                    speeds.setdefault(f"workers_{name}", []).append(speed)
                progress.update(1)
    return speeds


def _gpu_figures(run: Run, speeds: list[float]) -> dict[str, float]:
    """Peak memory above networks and clips; operations a second, as a share of those of a large bfloat16 product."""
    torch.cuda.reset_peak_memory_stats()
    before, num_steps = torch.cuda.memory_allocated(), 8
    with FlopCounterMode(display=False) as counter:
        num_clips = run(num_steps)
    flops_per_s = counter.get_total_flops() / num_clips * statistics.median(speeds)
    return {
        "peak_memory_mib": (torch.cuda.max_memory_allocated() - before) / 2**20,
        "share_of_peak": flops_per_s / _most_flops_per_s(),
    }


def _most_flops_per_s(size: int = 8192, num_products: int = 20) -> float:
    left, right = torch.randn(2, size, size, device="cuda", dtype=torch.bfloat16)
    torch.mm(left, right)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(num_products):
        torch.mm(left, right)
    end.record()
    torch.cuda.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return num_products * 2 * size**3 / (milliseconds / 1000)


def _summarize(
    speeds: dict[str, list[float]], losses: dict[str, dict[str, list[float]]]
) -> dict[str, Any]:
    def ratio(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(speeds[name], speeds[other], strict=True))

    workers = [name for name in TUNED if f"workers_{name}" in speeds]
    return {
        "clips_per_s": {name: statistics.median(values) for name, values in speeds.items()},
        "times_naive": {name: ratio(name, "naive") for name in _NAMES},
        "overhead": {name: 1 - ratio(name, f"bare_{name}") for name in TUNED},
        "workers_share": {name: ratio(f"workers_{name}", name) for name in workers},
        "mean_losses": {
            name: {loss: statistics.mean(values) for loss, values in of.items()}
            for name, of in losses.items()
        },
        "first_difference": {
            name: _first_difference(of, losses["naive"]) for name, of in losses.items()
        },
    }


def _first_difference(losses: dict[str, list[float]], naive: dict[str, list[float]]) -> float:
    """Of the first step's two losses, the larger relative difference."""
    return max(abs(losses[name][0] / naive[name][0] - 1) for name in naive)


def _rows(summary: dict[str, Any], cores: int) -> list[tuple[str, ...]]:
    """The table's rows."""
    speeds = {name: f"{value:.1f}" for name, value in summary["clips_per_s"].items()}
    rows: list[tuple[str, ...]] = [
        (_NAMES[name], speeds[name], f"{times:.2f} times the loop")
        for name, times in summary["times_naive"].items()
    ]
    rows += [
        (
            f"bare arithmetic of `{name}`",
            speeds[f"bare_{name}"],
            f"our step takes {share:.1%} of its time for all else",
        )
        for name, share in summary["overhead"].items()
    ]
    rows += [
        (
            f"`{name}`, {cores} workers of 1 thread",
            speeds[f"workers_{name}"],
            f"{share:.2f} of 1 worker with {cores} threads",
        )
        for name, share in summary["workers_share"].items()
    ]
    rows += [
        (
            f"`{name}`: mean loss_D, loss_G; first step",
            "",
            f"{means['loss_D']:.3f}, {means['loss_G']:.2f}; {summary['first_difference'][name]:.1e} from the loop's",
        )
        for name, means in summary["mean_losses"].items()
    ]
    return rows + [
        (
            f"`{name}` on the GPU",
            "",
            f"{of['share_of_peak']:.1%} of its peak, {of['peak_memory_mib']:.0f} MiB",
        )
        for name, of in summary["gpu"].items()
    ]
