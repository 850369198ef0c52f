"""Train the conditional GAN with Ray Train: what the driver does.

The driver plans and watches, free of torch; `freqquest.cgan.train_worker` starts and runs the workers.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import ray

from freqquest.cgan.config import TrainConfig
from freqquest.cgan.train_job import TrainJob
from freqquest.cluster import capacity, connection
from freqquest.cluster.remote_progress import remote_progress
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.order import num_steps
from freqquest.errors import UserError
from freqquest.runs.folder import RunFolder
from freqquest.storage import locate


def train(
    config: TrainConfig, start_judge: Callable[[list[str]], Any] | None = None
) -> dict[str, Any]:
    """Train a generator; an interrupted training continues, a finished one is left as it is.

    Needs an initialized Ray. Leaves generator.safetensors, checkpoints, sounds, pictures and TensorBoard logs.

    Args:
        config: What to train, and where.
        start_judge: Gives the handle of an actor that hears clips, for the dataset's classes.

    Returns:
        The last epoch's figures, and the judge's.

    Raises:
        UserError: The dataset, run folder, judge or cluster is not usable, a batch is larger than the dataset, or
            training gave gradients that are not finite.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    settings = _settings(config, manifest)
    run = RunFolder(config.run_dir, "cgan", settings)
    finished = run.finished()
    if finished is not None:
        return finished
    num_clips = manifest.num_rows["train"]
    if config.batch_size is not None and config.batch_size > num_clips:
        raise UserError(
            f"--batch-size {config.batch_size} is more than the {num_clips} training clips of {dataset}, copies "
            "included: give fewer"
        )
    resources = capacity.worker_resources(config.requirements)
    judge = start_judge(manifest.classes) if start_judge is not None else None
    run.begin()
    batch_size = config.cgan_config.batch_size
    num_shown = config.effective_epochs * num_steps(num_clips, batch_size) * batch_size
    with remote_progress("train cgan", num_shown, "clips") as progress:
        job = TrainJob(
            dataset=dataset,
            manifest=manifest,
            run=run.location,
            config=config,
            progress=progress,
            resources=resources,
            settings_sha256=hashlib.sha256(
                json.dumps(settings, sort_keys=True).encode()
            ).hexdigest(),
            judge=judge,
        )
        # Ray Train puts what watches the workers onto the node of whoever starts them.
        run_workers = ray.remote(
            num_cpus=0, max_calls=1, scheduling_strategy=connection.on_driver_node()
        )(_run_workers)
        figures: dict[str, Any] = ray.get(run_workers.remote(job))
        if "error" in figures:
            raise UserError(f"training stopped: {figures['error']}")
    return run.finish(figures)


def _settings(config: TrainConfig, manifest: Manifest) -> dict[str, Any]:
    """What shapes the generator, the preset by its values; workers and devices do not."""
    judge = locate(config.judge) if config.judge is not None else None
    if judge is not None and not judge.is_file():
        raise UserError(f"--judge {judge} does not exist: jobs/tune_cnn.py makes best_model.keras")
    if judge is not None and not manifest.num_rows.get("validation"):
        raise UserError(
            "--judge compares with held-out real clips, and the dataset has no validation clips: leave it out, or make "
            "a dataset with validation clips (jobs/preprocess.py)"
        )
    return {
        "dataset_sha256": manifest.content_sha256,
        "preset": config.preset,
        "epochs": config.effective_epochs,
        "seed": config.seed,
        # The judge chooses the epoch that is kept.
        "judge_sha256": hashlib.sha256(judge.read_bytes()).hexdigest() if judge else None,
        "judge_every": config.effective_judge_every if judge else None,
        "judge_clips": config.judge_clips if judge else None,
        **{
            f"preset.{name}": value
            for name, value in dataclasses.asdict(config.cgan_config).items()
        },
    }


def _run_workers(job: TrainJob) -> dict[str, Any]:
    """Imported where it runs, so that the driver stays free of torch, and keeps its own way to be interrupted."""
    from freqquest.cgan.train_worker import run_workers

    return run_workers(job)
