"""Losses of the recipe's loop and of freqquest from the same weights, clips and noise."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from freqquest.benchmark.cgan_recipe import NOISE_DIM, RecipeTraining
from freqquest.benchmark.cgan_runs import FreqquestRun
from freqquest.cgan.trainer import StepInputs

Losses = dict[str, list[float]]
"""`loss_D` and `loss_G` of each step."""


def compare_losses(runs: dict[str, FreqquestRun], num_steps: int) -> dict[str, Losses]:
    """Train in each way from the same weights, on the same clips and noise.

    Args:
        runs: Runs with the recipe's networks, by name.
        num_steps: Steps of each.

    Returns:
        Losses by name. `naive` is the recipe's loop.
    """
    losses = {name: _freqquest_losses(run, num_steps) for name, run in runs.items()}
    return {"naive": _recipe_losses(next(iter(runs.values())), num_steps)} | losses


def _freqquest_losses(run: FreqquestRun, num_steps: int) -> Losses:
    trainer = run.new_trainer()
    steps = []
    for real, labels, noise in _shared_steps(run, num_steps):
        # The recipe does not augment, so these parameters have no effect.
        augmentation = torch.zeros(len(labels), 6, device=trainer.device)
        trainer.step(StepInputs(real, labels, noise, augmentation, augmentation))
        steps.append(trainer.pop_metrics())
    return {name: [step[name] for step in steps] for name in ("loss_D", "loss_G")}


def _recipe_losses(run: FreqquestRun, num_steps: int) -> Losses:
    trainer = run.new_trainer()
    recipe = RecipeTraining(trainer.num_classes, trainer.device)
    recipe.generator.load_state_dict(trainer.generator.state_dict())
    recipe.discriminator.load_state_dict(trainer.discriminator.state_dict())
    steps = [recipe.step(*inputs) for inputs in _shared_steps(run, num_steps)]
    return {"loss_D": [loss_d for loss_d, _ in steps], "loss_G": [loss_g for _, loss_g in steps]}


def _shared_steps(run: FreqquestRun, num_steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield clips, class indices and noise, the same in each call."""
    source = torch.Generator().manual_seed(0)
    for real, labels in itertools.islice(run.batches(), num_steps):
        yield real, labels, torch.randn(len(labels), NOISE_DIM, generator=source).to(real.device)
