"""Train the conditional GAN with Ray Train: what the driver does.

The driver plans and watches, free of torch; `freqquest.cgan.worker` starts and runs the workers.
"""

from typing import Any

import ray

from freqquest import cluster
from freqquest.cgan.config import PRESETS, TrainConfig
from freqquest.cgan.job import TrainJob
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.read import num_steps
from freqquest.errors import UserError
from freqquest.runs.folder import RunFolder
from freqquest.runs.progress import shared_progress
from freqquest.runs.storage import locate


def train(config: TrainConfig) -> dict[str, Any]:
    """Train a generator; an interrupted training continues, a finished one is left as it is.

    Needs an initialised Ray. Leaves generator.safetensors, checkpoints, sounds, pictures and TensorBoard logs.

    Returns:
        The last epoch's figures.

    Raises:
        UserError: The dataset, run folder or cluster is not usable, or training gave losses that are not finite.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    resources = cluster.require(
        num_workers=config.num_workers, cpus_per_worker=config.cpus_per_worker, use_gpu=config.use_gpu
    )
    run = RunFolder(config.run_dir, "cgan", _settings(config, manifest))
    finished = run.finished()
    if finished is not None:
        return finished
    run.begin()
    steps = config.epochs * num_steps(manifest.num_rows["train"], PRESETS[config.preset].batch_size)
    with shared_progress("train cgan", steps, "steps") as progress:
        job = TrainJob(
            dataset=dataset,
            manifest=manifest,
            run=run.location,
            config=config,
            progress=progress,
            resources=resources,
        )
        figures: dict[str, Any] = ray.get(ray.remote(num_cpus=0, max_calls=1)(_run_workers).remote(job))
    if "error" in figures:
        raise UserError(f"training stopped: {figures['error']}")
    return run.finish(figures)


def _settings(config: TrainConfig, manifest: Manifest) -> dict[str, Any]:
    """What shapes the generator; workers and devices do not."""
    return {
        "dataset_sha256": manifest.content_sha256,
        "preset": config.preset,
        "epochs": config.epochs,
        "seed": config.seed,
    }


def _run_workers(job: TrainJob) -> dict[str, Any]:
    """Imported where it runs, so that the driver stays free of torch, and keeps its own way to be interrupted."""
    from freqquest.cgan.worker import run_workers

    return run_workers(job)
