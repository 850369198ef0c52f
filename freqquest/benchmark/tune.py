"""Benchmark of a search: the share of core time that is not spent on training."""

import time

import ray

from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.tune_config import TuneBenchmark
from freqquest.benchmark.work_folder import work_folder
from freqquest.cluster.capacity import trial_resources
from freqquest.cnn.labeled_clips import dataset_split, load_labeled
from freqquest.cnn.search.outcome import Outcome
from freqquest.cnn.search.run import run_search
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate


def benchmark_tune(config: TuneBenchmark) -> str:
    """Run a search of short trials, write the results, and return them as a table.

    The time runs from reading the dataset to the end of the last trial. Needs an initialized Ray,
    whose startup does not count.

    Raises:
        UserError: The work folder is not empty, or the dataset is not usable.
    """
    outcomes, num_clips, search_s = _search(config)
    cores = ray.cluster_resources()["CPU"]
    cores_each = trial_resources(config.num_trials, cpus_each=None, use_gpu=False)["CPU"]
    fit_s = [outcome.history[-1]["seconds"] for outcome in outcomes if outcome.history]
    outside = 1 - sum(fit_s) * cores_each / (search_s * cores)
    return BenchmarkResult(
        name="tune",
        settings={"num_trials": config.num_trials, "max_epochs": config.max_epochs},
        about=f"a search of {config.num_trials} trials of up to {config.max_epochs} epochs, "
        f"{num_clips} clips, Ray already started",
        measurements={
            "seconds": search_s,
            "cores": cores,
            "fit_seconds": fit_s,
            "share_outside_fit": outside,
        },
        header=("what", "result"),
        rows=[
            ("search", f"{search_s:.0f} s on {cores:.0f} cores"),
            (
                "training and validation, sum over all trials",
                f"{sum(fit_s):.0f} s, on {cores_each:.0f} core(s) each",
            ),
            ("share of core time spent on everything else", f"{outside:.0%}"),
        ],
    ).write(locate(config.output))


def _search(config: TuneBenchmark) -> tuple[list[Outcome], int, float]:
    """Return the outcome of each trial, the number of clips, and the seconds of the search."""
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    tune_config = TuneConfig(
        dataset_dir=config.dataset_dir,
        run_dir=config.work_dir,
        num_trials=config.num_trials,
        max_epochs=config.max_epochs,
    )
    with work_folder(config.work_dir) as work:
        started = time.perf_counter()
        clips = load_labeled(dataset, manifest)
        split = dataset_split(clips)
        outcomes = run_search(tune_config, manifest, ray.put(clips), [split], locate(work))
        search_s = time.perf_counter() - started
    return outcomes, len(clips.class_indices), search_s
