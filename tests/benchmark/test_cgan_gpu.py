import torch

from freqquest.benchmark.cgan_gpu import flops_per_clip
from freqquest.cgan.losses import gradient_penalty
from freqquest.cgan.trainer import CganTrainer
from tests.cgan.conftest import epoch, small, trainer


class Linear(torch.nn.Module):
    """A discriminator of one matrix product."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(6, 1))

    def forward(self, images, _):
        return images.flatten(1) @ self.weight


def flops_of(model: CganTrainer) -> float:
    def run(num_steps: int) -> int:
        epoch(model, num_steps=num_steps)
        return num_steps * model.cgan_config.batch_size

    return flops_per_clip(run)


def test_operations_of_a_step_with_the_penalty_are_counted(monkeypatch):
    monkeypatch.setattr("freqquest.benchmark.cgan_gpu.PENALTY_EVERY", 1)
    without = flops_of(trainer(small("default", batch_size=2, r1=0.0)))
    assert flops_of(trainer(small("default", batch_size=2))) > 1.2 * without


def test_each_product_of_the_penalty_counts():
    discriminator = Linear()

    def run(num_steps: int) -> int:
        for _ in range(num_steps):
            images, labels = torch.ones(4, 1, 2, 3), torch.zeros(4)
            gradient_penalty(discriminator, images, labels).sum().backward()
        return num_steps * 4

    # The output and its derivative by the input; again the output, which torch computes twice for
    # its change along that derivative; the change, and its derivative by the weights.
    assert flops_per_clip(run) == 6 * 2 * 6
