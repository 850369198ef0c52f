"""The recipe's two networks. torch only.

Shapes: B clips, Z noise values, K classes, M = 128 mel bands, T = 512 frames.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from freqquest.cgan.distributed import BatchNorm2d, WideLinear

NUM_MELS, NUM_FRAMES = 128, 512
"""Size of the recipe's spectrograms."""

_START_SHAPE = (256, 8, 32)
"""Channels, height and width of the generator's first map; four doublings make it M x T."""


class RecipeGenerator(nn.Module):
    """Network that turns noise and a class into a log-mel spectrogram."""

    def __init__(self, num_classes: int, noise_dim: int = 100) -> None:
        """Build the layers."""
        super().__init__()
        self.num_classes, self.noise_dim = num_classes, noise_dim
        channels, height, width = _START_SHAPE
        self.project = WideLinear(noise_dim + num_classes, channels * height * width)
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(256, 128, 4, stride=2, padding=1),
            BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
            BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
            nn.ReLU(),
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Map noise `[B, Z]` and class indices `[B]` to spectrograms `[B, 1, M, T]`, at least 0."""
        one_hot = functional.one_hot(labels, self.num_classes).to(noise.dtype)
        start = self.project(torch.cat([noise, one_hot], dim=1)).view(-1, *_START_SHAPE)
        spectrograms: Tensor = self.upsample(start)
        return spectrograms


class RecipeDiscriminator(nn.Module):
    """Network that scores whether a spectrogram is a real clip of a class."""

    def __init__(self, num_classes: int) -> None:
        """Build the layers."""
        super().__init__()
        self.num_classes = num_classes
        self.label_map = nn.Linear(num_classes, NUM_MELS * NUM_FRAMES)
        self.downsample = nn.Sequential(
            nn.Conv2d(2, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 4, stride=2, padding=1),
            BatchNorm2d(256),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 1, (8, 32)),
        )

    def forward(self, spectrograms: Tensor, labels: Tensor) -> Tensor:
        """Map spectrograms `[B, 1, M, T]` and class indices `[B]` to logits `[B]`."""
        one_hot = functional.one_hot(labels, self.num_classes).to(spectrograms.dtype)
        label_map = self.label_map(one_hot).view(-1, 1, NUM_MELS, NUM_FRAMES)
        logits: Tensor = self.downsample(
            torch.cat([spectrograms, label_map.to(spectrograms.dtype)], dim=1)
        )
        return logits.flatten()
