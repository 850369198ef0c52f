"""One update of both networks. Knows nothing of Ray, so a test, a notebook and a cluster run the same step.

Shapes: B clips of this worker, Z noise values, M mel bands, T frames.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from freqquest.cgan.config import CganConfig
from freqquest.cgan.losses import discriminator_loss, generator_loss
from freqquest.cgan.networks import Discriminator, Generator


class CganTrainer:
    """Both networks, their optimisers, and the averaged generator that is saved and heard."""

    def __init__(
        self,
        config: CganConfig,
        num_classes: int,
        device: torch.device,
        *,
        seed: int,
        distributed: bool = False,
    ) -> None:
        """Build networks with the seed's initial weights, the same on every worker.

        Args:
            config: Networks and optimisation.
            num_classes: Of the dataset.
            device: Where to train.
            seed: Of the initial weights.
            distributed: Average gradients over the workers of the initialised process group.
        """
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = Generator(num_classes, config.noise_dim)
            discriminator = Discriminator(num_classes)
        # Channels-last is the layout that both CPU and GPU convolve fastest in.
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged_generator = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._num_updates = 0
        self._generate: nn.Module = _replicate(self.generator) if distributed else self.generator
        self._discriminate: nn.Module = _replicate(self.discriminator) if distributed else self.discriminator
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), config.learning_rate, config.adam_betas
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), config.discriminator_learning_rate, config.adam_betas
        )

    def step(self, real: Tensor, labels: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Train the discriminator on real and generated clips, then the generator.

        Args:
            real: Spectrograms `[B, 1, M, T]`, float32.
            labels: Their class indices `[B]`; generated clips take the same classes.
            noise: `[B, Z]`.

        Returns:
            `loss_D` and `loss_G`, scalars on the device: reading them waits for it, so read them seldom.
        """
        with self._autocast():
            fake = self._generate(noise, labels)
            real_logits = self._discriminate(real, labels)
            fake_logits = self._discriminate(fake.detach(), labels)
        loss_d = discriminator_loss(real_logits, fake_logits)
        self.discriminator_optimizer.zero_grad()
        loss_d.backward()
        self.discriminator_optimizer.step()

        with _frozen(self.discriminator):  # its gradients for the generator's loss would be thrown away
            with self._autocast():
                fake_logits = self.discriminator(fake, labels)
            loss_g = generator_loss(fake_logits)
            self.generator_optimizer.zero_grad()
            loss_g.backward()
            self.generator_optimizer.step()
        self._update_average()
        self._num_updates += 1
        return {"loss_D": loss_d.detach(), "loss_G": loss_g.detach()}

    @torch.no_grad()
    def generate(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Spectrograms `[B, 1, M, T]`, float32, of the averaged generator."""
        spectrograms: Tensor = self.averaged_generator(noise.to(self.device), labels.to(self.device))
        return spectrograms.float()

    def state_dict(self) -> dict[str, Any]:
        """All that continues the training, tensors and plain values only."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {"num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self._num_updates = state["num_updates"]

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "averaged_generator": self.averaged_generator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bfloat16" and _computes_bfloat16(self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Short at first, so that the initial weights are forgotten.
        decay = min(self.config.ema_decay, (1 + self._num_updates) / (10 + self._num_updates))
        averaged, current = self.averaged_generator.state_dict(), self.generator.state_dict()
        for name, value in averaged.items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; emulation would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _replicate(network: nn.Module) -> DistributedDataParallel:
    # Each worker normalises by its own part of the batch; broadcasting running statistics between the
    # discriminator's two passes would change tensors that the first one's backward pass still needs.
    return DistributedDataParallel(network, broadcast_buffers=False)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
