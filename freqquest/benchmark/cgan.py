"""Benchmark of the generator's training, beside the recipe's plain loop and bare arithmetic."""

import statistics
from pathlib import Path
from typing import TypedDict

import torch

from freqquest.benchmark.cgan_beside import ALONE, FASTER, SLOWER, time_beside
from freqquest.benchmark.cgan_config import CganBenchmark
from freqquest.benchmark.cgan_gpu import GpuUse, measure_gpu_use
from freqquest.benchmark.cgan_losses import Losses, compare_losses
from freqquest.benchmark.cgan_recipe import BATCH_SIZE, RecipeClips
from freqquest.benchmark.cgan_runs import (
    TUNED,
    BareRun,
    FreqquestRun,
    RecipeRun,
    Run,
    clips_per_s,
    time_workers,
)
from freqquest.benchmark.result import BenchmarkResult
from freqquest.cgan.devices import threads
from freqquest.cluster.cores import num_usable_cores
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
_SETTINGS = ("num_steps", "num_runs", "num_agreement_steps", "use_gpu")


class Summary(TypedDict):
    """Results by name of the run."""

    clips_per_s: dict[str, float]
    times_naive: dict[str, float]
    overhead: dict[str, float]
    """Share of a step's time beyond its bare arithmetic."""
    workers_share: dict[str, float]
    """Speed of several one-thread workers, relative to one worker with all threads."""
    beside_share: dict[str, float]
    """Speed of each of two trainings of `default` at once, relative to one alone."""
    mean_losses: dict[str, dict[str, float]]
    first_difference: dict[str, float]
    """Relative difference of the first step's losses from those of the recipe's loop."""
    gpu: dict[str, GpuUse]


def benchmark_cgan(config: CganBenchmark) -> str:
    """Measure the training, write the results, and return them as a table.

    Raises:
        UserError: The dataset or its audio files are not usable, or there is no GPU.
    """
    if config.use_gpu and not torch.cuda.is_available():
        raise UserError("`use_gpu=True`: PyTorch finds no GPU on this machine")
    device = torch.device("cuda" if config.use_gpu else "cpu")
    manifest = load_manifest(locate(config.dataset_dir))
    clips = recipe_clips(config.dataset_dir, manifest)
    num_threads = min(num_usable_cores(), BATCH_SIZE)
    with threads(num_threads):
        full = {
            name: FreqquestRun(name, config.dataset_dir, device)
            for name in _NAMES
            if name != "naive"
        }
        recipe_networks = {name: run for name, run in full.items() if name != "default"}
        losses = compare_losses(recipe_networks, config.num_agreement_steps)
        runs: dict[str, Run] = {"naive": RecipeRun(clips, len(manifest.classes), device), **full}
        runs |= {f"bare_{name}": BareRun(full[name]) for name in TUNED}
        speeds = _run_in_turn(runs, config, device, num_threads)
        gpu = {name: measure_gpu_use(runs[name], speeds[name]) for name in _NAMES if config.use_gpu}
    summary = _summarize(speeds, losses, gpu)
    return BenchmarkResult(
        name="cgan",
        settings={name: getattr(config, name) for name in _SETTINGS},
        about=f"{len(clips)} clips, batches of {BATCH_SIZE}, {num_threads} threads; medians of "
        f"{config.num_runs} interleaved runs of {config.num_steps} steps",
        measurements={"summary": summary, "clips_per_s": speeds, "losses": losses},
        header=("what", "clips/s", "compared"),
        rows=_rows(summary, num_threads),
    ).write(locate(config.output))


def recipe_clips(dataset_dir: str, manifest: Manifest) -> RecipeClips:
    """Return the training split's audio files.

    Raises:
        UserError: They are no longer where they were when the dataset was made.
    """
    rows = read_rows(locate(dataset_dir), manifest, "train")
    rows = rows[rows["augmentation"] == NOT_AUGMENTED]
    paths = rows["path"].tolist()
    missing = next((path for path in paths if not Path(path).is_file()), None)
    if missing is not None:
        raise UserError(
            f"{missing} is missing: the recipe's loop reads the audio files of "
            f"`dataset_dir={dataset_dir}`"
        )
    return RecipeClips(paths, rows["class_index"].tolist())


def _run_in_turn(
    runs: dict[str, Run], config: CganBenchmark, device: torch.device, num_threads: int
) -> dict[str, list[float]]:
    """Return the clips per second of every run. Several processes are timed on CPUs only."""
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    total = config.num_runs * (len(runs) + 2 * (not config.use_gpu))
    with Progress("benchmark", total, "runs") as progress:
        for _ in range(config.num_runs):
            for name, run in runs.items():
                tuned = name.removeprefix("bare_") in TUNED
                speeds[name].append(clips_per_s(run, config.num_steps, device, tuned=tuned))
                progress.update(1)
            for time_processes in () if config.use_gpu else (time_workers, time_beside):
                timed = time_processes(config.dataset_dir, config.num_steps, num_threads)
                for name, speed in timed.items():
                    speeds.setdefault(name, []).append(speed)
                progress.update(1)
    return speeds


def _summarize(
    speeds: dict[str, list[float]], losses: dict[str, Losses], gpu: dict[str, GpuUse]
) -> Summary:
    def ratio(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(speeds[name], speeds[other], strict=True))

    workers = [name for name in TUNED if f"workers_{name}" in speeds]
    beside = [name for name in (SLOWER, FASTER) if name in speeds]
    return {
        "clips_per_s": {name: statistics.median(values) for name, values in speeds.items()},
        "times_naive": {name: ratio(name, "naive") for name in _NAMES},
        "overhead": {name: 1 - ratio(name, f"bare_{name}") for name in TUNED},
        "workers_share": {name: ratio(f"workers_{name}", name) for name in workers},
        "beside_share": {name: ratio(name, ALONE) for name in beside},
        "mean_losses": {
            name: {loss: statistics.mean(values) for loss, values in by_loss.items()}
            for name, by_loss in losses.items()
        },
        "first_difference": {
            name: _first_difference(by_loss, losses["naive"]) for name, by_loss in losses.items()
        },
        "gpu": gpu,
    }


def _first_difference(losses: Losses, recipe: Losses) -> float:
    """Return the larger relative difference of the first step's two losses."""
    return max(abs(losses[name][0] / recipe[name][0] - 1) for name in recipe)


def _rows(summary: Summary, num_threads: int) -> list[tuple[str, ...]]:
    speeds = {name: f"{value:.1f}" for name, value in summary["clips_per_s"].items()}
    rows: list[tuple[str, ...]] = [
        (_NAMES[name], speeds[name], f"{times:.2f} times the loop")
        for name, times in summary["times_naive"].items()
    ]
    rows += [
        (
            f"bare arithmetic of `{name}`",
            speeds[f"bare_{name}"],
            f"a full step spends {share:.1%} of its time on everything else",
        )
        for name, share in summary["overhead"].items()
    ]
    rows += [
        (
            f"`{name}`, {num_threads} workers with 1 thread each",
            speeds[f"workers_{name}"],
            f"{share:.2f} times 1 worker with {num_threads} threads",
        )
        for name, share in summary["workers_share"].items()
    ]
    rows += [
        (
            f"`default` beside another training, {name.partition('_')[0]} of both",
            speeds[name],
            f"{share:.2f} times one alone ({speeds[ALONE]})",
        )
        for name, share in summary["beside_share"].items()
    ]
    rows += [
        (
            f"`{name}`, mean loss_D and loss_G",
            "",
            f"{means['loss_D']:.3f} and {means['loss_G']:.2f}; the first step differs by "
            f"{summary['first_difference'][name]:.1e} from the loop's",
        )
        for name, means in summary["mean_losses"].items()
    ]
    return rows + [
        (
            f"`{name}` on the GPU",
            "",
            f"{use['share_of_peak']:.1%} of its peak speed, {use['peak_memory_mib']:.0f} MiB",
        )
        for name, use in summary["gpu"].items()
    ]
