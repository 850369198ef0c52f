"""Make clips with a trained generator, in a task of its own: the driver stays free of torch."""

import ray
from ray.util.queue import Queue

from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.train_job import GeneratedClip
from freqquest.cluster import capacity
from freqquest.cluster.remote_progress import ProgressReporter, remote_progress
from freqquest.storage import locate


def generate_clips(config: GenerateConfig) -> list[GeneratedClip]:
    """Write WAV files of the classes asked for; the same seed writes the same files.

    Needs an initialized Ray.

    Returns:
        The files, by class and index.

    Raises:
        UserError: The generator cannot be used, does not know the label, or the output folder cannot take its files.
    """
    capacity.worker_resources(config.requirements)
    with remote_progress("generate", None, "clips") as progress:
        # One call a process: an idle worker would keep torch in memory.
        make = ray.remote(num_cpus=1, num_gpus=int(config.use_gpu), max_calls=1)(_synthesize)
        clips: list[GeneratedClip] = ray.get(
            make.remote(config, _names_in(config.output_dir), progress)
        )
        progress.put(
            (len(clips), "")
        )  # the last of a Poster's messages may have come too soon to be sent
    return clips


def _names_in(output_dir: str) -> frozenset[str]:
    """What must not be overwritten; listed once, as Ray runs the task again if its node is lost."""
    return frozenset(place.name for place in locate(output_dir).list_dir())


def _synthesize(
    config: GenerateConfig, taken: frozenset[str], progress: Queue
) -> list[GeneratedClip]:
    from freqquest.cgan.generate_worker import synthesize

    return synthesize(config, taken, ProgressReporter(progress))
