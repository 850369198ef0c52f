"""What share of a search's core time goes to anything but training."""

import time

import ray

from freqquest.benchmark.config import TuneBenchmark
from freqquest.benchmark.report import Report
from freqquest.benchmark.work import work_folder
from freqquest.cluster.capacity import trial_resources
from freqquest.cnn.config import TuneConfig
from freqquest.cnn.labeled_clips import dataset_split, load_labeled
from freqquest.cnn.search.run import run_search
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate


def benchmark_tune(config: TuneBenchmark) -> str:
    """Run a search of short trials, from reading the dataset to its last trial's end; write and return the figures.

    Needs an initialized Ray, whose start is not counted.

    Raises:
        UserError: The work folder holds something, or the dataset is not usable.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    tune = TuneConfig(
        dataset_dir=config.dataset_dir,
        run_dir=config.work_dir,
        num_trials=config.num_trials,
        max_epochs=config.max_epochs,
    )
    with work_folder(config.work_dir) as work:
        started = time.perf_counter()
        clips = load_labeled(dataset, manifest)
        outcomes = run_search(tune, manifest, ray.put(clips), [dataset_split(clips)], locate(work))
        wall_s = time.perf_counter() - started
    cores = ray.cluster_resources()["CPU"]
    cores_each = trial_resources(config.num_trials, cpus_each=None, use_gpu=False)["CPU"]
    fit_s = [outcome.history[-1]["seconds"] for outcome in outcomes if outcome.history]
    outside = 1 - sum(fit_s) * cores_each / (wall_s * cores)
    return Report(
        command="tune",
        settings={"num_trials": config.num_trials, "max_epochs": config.max_epochs},
        about=f"a search of {config.num_trials} trials of up to {config.max_epochs} epochs, "
        f"{len(clips.class_indices)} clips, Ray already started",
        figures={
            "seconds": wall_s,
            "cores": cores,
            "fit_seconds": fit_s,
            "share_outside_fit": outside,
        },
        header=("what", "figure"),
        rows=[
            ("the search", f"{wall_s:.0f} s on {cores:.0f} cores"),
            (
                "training and validation, all trials",
                f"{sum(fit_s):.0f} s, each on {cores_each:.0f} of the cores",
            ),
            ("share of core time outside of it", f"{outside:.0%}"),
        ],
    ).write(locate(config.output))
