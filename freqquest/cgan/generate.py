"""Generate job, in the driver: clips are made in a task, so that the driver stays free of torch."""

import ray

from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.generator_path import require_file
from freqquest.cgan.train_job import Generation, JudgeStarter, ProgressChannel
from freqquest.cluster import capacity
from freqquest.cluster.remote_progress import ProgressReporter, remote_progress
from freqquest.cluster.tasks import cancel_on_error
from freqquest.cluster.torch_environment import torch_environment
from freqquest.storage import locate


def check_request(config: GenerateConfig) -> None:
    """Refuse a generator that is not a file. Needs no Ray; what is in it is checked later.

    Raises:
        UserError: There is no such file.
    """
    require_file(locate(config.generator), "generator")


def generate_clips(config: GenerateConfig, start_judge: JudgeStarter | None = None) -> Generation:
    """Write WAV files of the requested classes; the same settings write the same files.

    Needs an initialized Ray.

    Args:
        config: Settings of the job.
        start_judge: Starts the judge of candidates, in the process that generates them.

    Returns:
        The files, and how they were chosen.

    Raises:
        UserError: As in `freqquest.cgan.generate_worker.synthesize`.
    """
    capacity.worker_resources(config.requirements)
    with remote_progress("generate", None, "clips") as progress:
        # One call per process, as an idle worker would keep torch in memory.
        run = ray.remote(
            num_cpus=1,
            num_gpus=int(config.use_gpu),
            max_calls=1,
            runtime_env=torch_environment(),
        )(_synthesize)
        existing = _names_in(config.output_dir)
        task = run.remote(config, existing, progress, start_judge)
        with cancel_on_error([task]):
            generation: Generation = ray.get(task)
        # The reporter may have skipped its last message.
        progress.put((len(generation.clips), ""))
    return generation


def _names_in(output_dir: str) -> frozenset[str]:
    """Return the names in a folder, before Ray may run the task twice because its node is lost."""
    return frozenset(item.name for item in locate(output_dir).list_dir())


def _synthesize(
    config: GenerateConfig,
    existing_names: frozenset[str],
    progress: ProgressChannel,
    start_judge: JudgeStarter | None,
) -> Generation:
    from freqquest.cgan.generate_worker import synthesize

    return synthesize(config, existing_names, ProgressReporter(progress), start_judge)
