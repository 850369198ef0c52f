"""Training of the conditional GAN, in the driver: plan, start and watch.

Free of torch; `freqquest.cgan.train_worker` starts and runs the workers with Ray Train.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import ray

from freqquest.cgan.config import AUTO, TrainConfig
from freqquest.cgan.train_job import TrainJob
from freqquest.cluster import capacity, connection
from freqquest.cluster.remote_progress import remote_progress
from freqquest.cluster.tasks import cancel_on_error
from freqquest.cluster.torch_environment import torch_environment
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.order import num_steps
from freqquest.dataset.read import without_background
from freqquest.dataset.views import require_recipe_views
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.folder import RunFolder, read_sections
from freqquest.runs.metrics import GeneratorMetrics
from freqquest.runs.tracked_training import TrackedTraining
from freqquest.runs.tracker import require_tracker, tracker_store
from freqquest.storage import Location, locate

if TYPE_CHECKING:
    from freqquest.cgan.judging import Judge


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What the settings ask for, as far as it can be checked without Ray."""

    dataset: Location
    manifest: Manifest
    """Manifest of the dataset, without a background."""
    finished: GeneratorMetrics | None
    """Metrics of a run that has finished before."""


def check_request(config: TrainConfig) -> TrainRequest:
    """Check the settings, the dataset, the judge's file and the run folder. Needs no Ray.

    A batch size that is to be measured on GPUs is left to `train_cgan`.

    Raises:
        UserError: One of them is not usable.
    """
    require_tracker(config.track)
    dataset = locate(config.dataset_dir)
    manifest = without_background(dataset, load_manifest(dataset))
    if config.preset == "reference":
        manifest.require_one_label(config.dataset_dir, "`preset=reference`", "use `preset=default`")
        require_recipe_views(manifest.clip, manifest.views, "cgan")
    require_full_batch(config, manifest)
    _judge_file(config, manifest)
    finished = None
    if (known := _known_batch_size(config)) is not None:
        config = dataclasses.replace(config, batch_size=known)
        finished = RunFolder(config.run_dir, "cgan", _settings(config, manifest)).finished()
    return TrainRequest(
        dataset=dataset, manifest=manifest, finished=cast(GeneratorMetrics | None, finished)
    )


def train_cgan(
    config: TrainConfig,
    start_judge: "Callable[[Manifest], Judge] | None" = None,
    request: TrainRequest | None = None,
) -> GeneratorMetrics:
    """Train a generator, or continue an interrupted training.

    Needs an initialized Ray, unless the run has finished before; then it is left as it is. Writes
    the generator, checkpoints, sounds, pictures and TensorBoard logs. A background of the dataset
    is skipped.

    Args:
        config: Settings of the training.
        start_judge: Starts a judge for the dataset's classes and clips.
        request: The same settings, if they were checked already.

    Returns:
        The last epoch's metrics, and the final evaluation.

    Raises:
        UserError: The dataset, run folder, judge or cluster is unusable, a batch is larger than the
            dataset, or gradients did not stay finite.
    """
    request = request or check_request(config)
    if request.finished is not None:
        return request.finished
    manifest = request.manifest
    batch_size = _known_batch_size(config) or _measure_batch_size(config, manifest)
    config = dataclasses.replace(config, batch_size=batch_size)
    settings = _settings(config, manifest)
    run = RunFolder(config.run_dir, "cgan", settings)
    resources = capacity.worker_resources(config.requirements)
    judge = start_judge(manifest) if start_judge is not None else None
    run.begin()
    if manifest.has_several_labels:
        print("clips with several labels are trained on by each of them", file=sys.stderr)
    steps_per_epoch = num_steps(manifest.num_rows["train"], batch_size)
    num_shown = config.effective_epochs * steps_per_epoch * batch_size
    with remote_progress("train cgan", num_shown, "clips") as progress:
        job = TrainJob(
            dataset=request.dataset,
            manifest=manifest,
            run=run.location,
            config=config,
            progress=progress,
            resources=resources,
            settings_sha256=_sha256(json.dumps(settings, sort_keys=True).encode()),
            judge=judge,
            tracked=_tracked(config, run.location),
        )
        metrics = _run_on_driver_node(job)
        if "error" in metrics:
            raise UserError(f"training stopped: {metrics['error']}")
    return cast(GeneratorMetrics, run.finish(metrics))


def _tracked(config: TrainConfig, run: Location) -> TrackedTraining | None:
    """Return the training's run in the tracker, if there is one."""
    if config.track is None:
        return None
    settings = {"epochs": config.effective_epochs, "seed": config.seed}
    return TrackedTraining(
        tracker_store(config.track, run),
        "generator",
        settings | dataclasses.asdict(config.cgan_config),
        run / layout.TRACKED_RUN_NAME,
    )


def _known_batch_size(config: TrainConfig) -> int | None:
    """Return the batch size, or None if it is to be measured on GPUs."""
    if config.batch_size != AUTO:
        return config.cgan_config.batch_size
    earlier = read_sections(locate(config.run_dir), layout.CONFIG_NAME).get("cgan", {})
    if "preset.batch_size" in earlier:
        return int(earlier["preset.batch_size"])
    return None if config.use_gpu else config.cgan_config.batch_size


def _measure_batch_size(config: TrainConfig, manifest: Manifest) -> int:
    """Return the best batch size for the GPUs."""
    capacity.worker_resources(config.requirements)  # refuses a cluster without GPUs
    measure = ray.remote(num_cpus=1, num_gpus=1, max_calls=1, runtime_env=torch_environment())(
        _largest_batch_size
    )
    task = measure.remote(config, manifest)
    with cancel_on_error([task]):
        batch_size: int = ray.get(task)
    print(f"batch size {batch_size}, by the memory of the GPUs", file=sys.stderr)
    return batch_size


def _largest_batch_size(config: TrainConfig, manifest: Manifest) -> int:
    """Measure on a GPU; imported here, so that the driver stays free of torch."""
    from freqquest.cgan.batch_size import largest_batch_size

    return largest_batch_size(config, manifest)


def require_full_batch(config: TrainConfig, manifest: Manifest) -> None:
    """Refuse a configured batch size that the dataset's training clips cannot fill."""
    num_clips = manifest.num_rows["train"]
    has_number = config.batch_size not in (None, AUTO)
    if has_number and config.cgan_config.batch_size > num_clips:
        raise UserError(
            f"`batch_size={config.batch_size}` must be at most {num_clips}, the number of training "
            f"clips in {config.dataset_dir}, augmented copies included"
        )


def _settings(config: TrainConfig, manifest: Manifest) -> dict[str, object]:
    """Return everything that shapes the generator: the preset's values, but not the workers."""
    judge = _judge_file(config, manifest)
    preset = dataclasses.asdict(config.cgan_config)
    if not preset["overlapping"]:
        del preset["overlapping"]  # so that the recipe's earlier run folders stay valid
    return {
        "dataset_sha256": manifest.content_sha256,
        "preset": config.preset,
        "epochs": config.effective_epochs,
        "seed": config.seed,
        # The judge chooses the epoch that is kept.
        "judge_sha256": _sha256(judge.read_bytes()) if judge else None,
        "judge_every": config.effective_judge_every if judge else None,
        "judge_clips": config.judge_clips if judge else None,
        **{f"preset.{name}": value for name, value in preset.items()},
    }


def _judge_file(config: TrainConfig, manifest: Manifest) -> Location | None:
    """Return the judge's file, if a judge is configured and can be used."""
    if config.judge is None:
        return None
    judge = locate(config.judge)
    if not judge.is_file():
        raise UserError(
            f"`judge={judge}` does not exist: give the best_model.keras of a tune_cnn run"
        )
    if not manifest.num_rows.get("validation"):
        raise UserError(
            "`judge` compares with held-out real clips, but the dataset has no validation clips: "
            "leave it out, or preprocess the clips with a validation split"
        )
    return judge


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _run_on_driver_node(job: TrainJob) -> dict[str, object]:
    """Run the training from a task on this node: Ray Train's controller stays where it starts."""
    run = ray.remote(num_cpus=0, max_calls=1, scheduling_strategy=connection.on_driver_node())(
        _run_workers
    )
    task = run.remote(job)
    with cancel_on_error([task]):
        metrics: dict[str, object] = ray.get(task)
    return metrics


def _run_workers(job: TrainJob) -> dict[str, object]:
    """Run the workers; imported here, so that the driver stays free of torch and interruptible."""
    from freqquest.cgan.train_worker import run_workers

    return run_workers(job)
