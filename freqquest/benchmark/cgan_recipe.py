"""The published recipe's training of the generator in plain PyTorch, the baseline of freqquest.

float32, PyTorch's default memory layout and Adam, audio files decoded on demand, and both losses
read at each step, as a progress bar shows them. The networks are those of the preset `reference`,
as published. Shapes: B clips, Z noise values, M mel bands, T frames.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from freqquest.benchmark.preprocess_recipe import cgan_spectrogram, mel_transform
from freqquest.cgan.networks.recipe import RecipeDiscriminator, RecipeGenerator

NOISE_DIM, BATCH_SIZE = 100, 16


class RecipeClips(Dataset[tuple[Tensor, int]]):
    """Audio files, decoded to spectrograms `[1, M, T]` on demand, and their class indices."""

    def __init__(self, paths: list[str], labels: list[int]) -> None:
        self._paths, self._labels = paths, labels
        self._transform = mel_transform()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return cgan_spectrogram(self._paths[index], self._transform), self._labels[index]


def endless_batches(clips: RecipeClips) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield spectrograms `[B, 1, M, T]` and class indices `[B]`, one epoch after the other."""
    loader = DataLoader(clips, batch_size=BATCH_SIZE, shuffle=True)
    while True:
        yield from loader


class RecipeTraining:
    """Both networks of the recipe and their optimizers."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.device = device
        self.generator = RecipeGenerator(num_classes, NOISE_DIM).to(device)
        self.discriminator = RecipeDiscriminator(num_classes).to(device)
        self._loss = nn.BCEWithLogitsLoss()
        self._generator_optimizer, self._discriminator_optimizer = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        )

    def step(self, real: Tensor, labels: Tensor, noise: Tensor) -> tuple[float, float]:
        """Train the discriminator, then the generator.

        Args:
            real: Spectrograms `[B, 1, M, T]`.
            labels: Class indices `[B]` of the real clips, and of the generated ones too.
            noise: Noise `[B, Z]`.

        Returns:
            loss_D and loss_G.
        """
        real, labels, noise = (values.to(self.device) for values in (real, labels, noise))
        ones = torch.ones(len(real), device=self.device)
        zeros = torch.zeros(len(real), device=self.device)
        self._discriminator_optimizer.zero_grad()
        fake = self.generator(noise, labels)
        loss_real = self._loss(self.discriminator(real, labels), ones)
        loss_fake = self._loss(self.discriminator(fake.detach(), labels), zeros)
        loss_d = (loss_real + loss_fake) / 2
        loss_d.backward()
        self._discriminator_optimizer.step()
        self._generator_optimizer.zero_grad()
        loss_g = self._loss(self.discriminator(fake, labels), ones)
        loss_g.backward()
        self._generator_optimizer.step()
        return loss_d.item(), loss_g.item()
