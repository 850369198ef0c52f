"""The generator that a training leaves behind: weights, description, and the level of its clips."""

from dataclasses import replace

import torch
from torch import Tensor

from freqquest.cgan.generator_file import GeneratorCard, generator_bytes, read_generator
from freqquest.cgan.images import ImageScale
from freqquest.cgan.levels import class_gains_db, median_levels_db
from freqquest.cgan.train_job import TrainJob
from freqquest.dataset.views import RECIPE_CLIP, RECIPE_VIEWS

_LEVEL_SEED = 2
"""Added to the seed for the clips whose level is measured: other noise than the evaluations'."""


def generator_card(job: TrainJob, scale: ImageScale, epochs: int) -> GeneratorCard:
    """Return the description of a training's generator, without gains."""
    manifest = job.manifest
    clip, view = manifest.clip, manifest.views["cgan"]
    is_recipe = (clip, view) == (RECIPE_CLIP, RECIPE_VIEWS["cgan"])
    return GeneratorCard(
        classes=manifest.classes,
        sample_rate_hz=clip.sample_rate_hz,
        num_samples=None if is_recipe else clip.num_samples,
        view=view,
        scale=scale,
        cgan_config=job.cgan_config,
        preset=job.config.preset,
        epochs=epochs,
        dataset_sha256=manifest.content_sha256,
    )


def finished_generator(
    job: TrainJob,
    scale: ImageScale,
    weights: dict[str, Tensor],
    epochs: int,
    device: torch.device,
) -> bytes:
    """Return the content of the generator file.

    The recipe's clips stay as they are; others get the level of the training clips.

    Args:
        job: The training.
        scale: Scale of its images.
        weights: Weights of the averaged generator.
        epochs: Number of epochs that they were trained.
        device: Device to compute on.

    Raises:
        UserError: A shard of the dataset is corrupt.
    """
    card = generator_card(job, scale, epochs)
    content = generator_bytes(weights, card)
    if job.cgan_config.architecture == "recipe":
        return content
    generator = read_generator(content)
    generator.network.to(device)
    wanted_db = median_levels_db(job.dataset, job.manifest)
    gains_db = class_gains_db(generator, wanted_db, job.config.seed + _LEVEL_SEED)
    return generator_bytes(weights, replace(card, gains_db=gains_db))
