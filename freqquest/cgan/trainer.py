"""One update of both networks, and one epoch of updates.

torch and NumPy only, no Ray: a test, a notebook and a cluster run the same step.
Shapes: B clips of this worker, Z noise values, M mel bands, T frames.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from freqquest.cgan import torch_internals
from freqquest.cgan.augment import Augmentation
from freqquest.cgan.batches import Batch
from freqquest.cgan.config import CganConfig
from freqquest.cgan.distributed import Worker, sum_gradients, sum_over_workers, world_size
from freqquest.cgan.images import ImageScale
from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.networks.build import build_discriminator, build_generator
from freqquest.dataset.order import rank_slice

PENALTY_EVERY = 8
"""Updates of the discriminator between two gradient penalties."""

_MAX_SKIPPED, _MAX_SKIPPED_SHARE = 3, 0.1
"""Number and share of an epoch's steps that may be skipped; more than both ends the training."""

StepMetrics = dict[str, Tensor]
"""Scalars of one step, on the device.

`loss_D`, `loss_G`; `accuracy_real` and `accuracy_fake`, the shares of real and generated clips that
the discriminator classifies correctly; `norm_D` and `norm_G`, the norms of the gradients; and
`skipped`, 1 if an update was skipped because its gradients were not finite (then all others are 0).
"""

EpochMetrics = dict[str, float]
"""Metrics of one epoch, by name; see `train_epoch`."""

TrainerState = dict[str, Any]  # nested state dicts of torch
"""Everything that continues a training, in tensors and plain values only."""


class CganTrainer:
    """Both networks, their optimizers, and the averaged generator that is saved and judged.

    ```python
    trainer = CganTrainer(CganConfig(), len(classes), scale, torch.device("cpu"), seed=0)
    batches = clips.epoch(16, seed=0, epoch=0, worker=Worker())
    metrics = train_epoch(trainer, batches, epoch=0, seed=0, worker=Worker())
    ```
    """

    def __init__(
        self,
        cgan_config: CganConfig,
        num_classes: int,
        scale: ImageScale,
        device: torch.device,
        *,
        seed: int,
    ) -> None:
        """Build networks with the seed's initial weights, the same on every worker.

        Args:
            cgan_config: Networks and optimization.
            num_classes: Number of classes of the dataset.
            scale: Scale of the images.
            device: Device to train on.
            seed: Seed of the initial weights.
        """
        self.cgan_config, self.num_classes = cgan_config, num_classes
        self.scale, self.device = scale, device
        self.augmentation = Augmentation(num_frames=scale.filled_frames)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = build_generator(cgan_config, num_classes, scale)
            discriminator = build_discriminator(cgan_config, num_classes)
        # Both CPU and GPU compute convolutions fastest in the channels-last layout.
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged_generator = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._num_updates = 0
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(
                network.parameters(), cgan_config.learning_rate, cgan_config.adam_betas, fused=True
            )
            for network in (self.generator, self.discriminator)
        )

    def step(
        self,
        real: Tensor,
        labels: Tensor,
        noise: Tensor,
        real_changes: Tensor,
        fake_changes: Tensor,
    ) -> StepMetrics:
        """Train the discriminator on real and generated clips, then the generator.

        Args:
            real: Images `[B, 1, M, T]`, float32.
            labels: Their class indices `[B]`; the generated clips have the same classes.
            noise: `[B, Z]`.
            real_changes: Rows `[B, 6]` of `Augmentation.draw`, which the recipe ignores.
            fake_changes: The same for the generated clips.

        Returns:
            Metrics whose sums over all workers are those of the whole batch. Reading them waits for
            the device.
        """
        statistics = [*self.generator.buffers(), *self.discriminator.buffers()]
        statistics_before = [value.clone() for value in statistics]
        with self.autocast():
            fake = self._change(self.generator(noise, labels), fake_changes)
            real = self._change(real, real_changes)
            real_logits = self.discriminator(real, labels)
            fake_logits = self.discriminator(fake.detach(), labels)
        loss_d = self._mean(discriminator_loss(real_logits, fake_logits))
        penalty = self._penalty(real, labels)
        norm_d = self._update(self.discriminator, self.discriminator_optimizer, loss_d + penalty)
        with _frozen(self.discriminator):  # its gradients for this loss would be discarded
            with self.autocast():
                logits = self.discriminator(fake, labels)
            loss_g = self._mean(generator_loss(logits))
            norm_g = self._update(self.generator, self.generator_optimizer, loss_g)
        skipped = ~torch.isfinite(norm_d + norm_g)
        for value, before in zip(statistics, statistics_before, strict=True):
            # The running statistics, unlike the optimizers, have taken a skipped step.
            value.copy_(torch.where(skipped, before, value))
        self._update_average()
        self._num_updates += 1
        metrics = {
            "loss_D": loss_d.detach(),
            "loss_G": loss_g.detach(),
            "accuracy_real": self._mean((real_logits > 0).float()),
            "accuracy_fake": self._mean((fake_logits < 0).float()),
            "norm_D": norm_d / world_size(),  # equal on all workers
            "norm_G": norm_g / world_size(),
        }
        finite = {name: torch.where(skipped, 0, value) for name, value in metrics.items()}
        return finite | {"skipped": skipped.float() / world_size()}

    @torch.no_grad()
    def generate(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return spectrograms `[B, M, T]`, float32, of the averaged generator."""
        return self.scale.decode(
            self.averaged_generator(noise.to(self.device), labels.to(self.device))
        )

    def autocast(self) -> torch.autocast:
        """Return a context in which networks use the configured precision, if the device has it."""
        wants_bfloat16 = self.cgan_config.precision == "bfloat16"
        enabled = wants_bfloat16 and _computes_bfloat16(self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def state_dict(self) -> TrainerState:
        """Return everything that continues the training."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "num_updates": self._num_updates
        }

    def load_state_dict(self, state: TrainerState) -> None:
        """Continue from a `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self._num_updates = state["num_updates"]

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "averaged_generator": self.averaged_generator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def _mean(self, values: Tensor) -> Tensor:
        """Return this worker's share of the mean of values `[B]` over the whole batch."""
        return values.sum() / self.cgan_config.batch_size

    def _change(self, images: Tensor, changes: Tensor) -> Tensor:
        return self.augmentation.apply(images, changes) if self.cgan_config.augment else images

    def _penalty(self, real: Tensor, labels: Tensor) -> Tensor:
        """Return the R1 penalty at every few updates, and 0 at others.

        It changes slowly, so it is computed rarely with a larger weight (Karras et al., "Analyzing
        and improving the image quality of StyleGAN", 2020).
        """
        if self.cgan_config.r1 == 0 or self._num_updates % PENALTY_EVERY != 0:
            return torch.zeros((), device=self.device)
        weight = self.cgan_config.r1 / 2 * PENALTY_EVERY
        return weight * self._mean(gradient_penalty(self.discriminator, real, labels))

    def _update(self, network: nn.Module, optimizer: torch.optim.Adam, loss: Tensor) -> Tensor:
        """Take an optimizer step, unless its gradients are not finite; return their norm."""
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        sum_gradients(network)
        norm = nn.utils.get_total_norm(
            [value.grad for value in network.parameters() if value.grad is not None]
        )
        torch_internals.skip_next_step(optimizer, ~torch.isfinite(norm))
        optimizer.step()
        return norm

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short average at first forgets the initial weights.
        decay = min(self.cgan_config.ema_decay, (1 + self._num_updates) / (10 + self._num_updates))
        averaged, current = self.averaged_generator.state_dict(), self.generator.state_dict()
        for name, value in averaged.items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])


def _computes_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch_internals.cpu_computes_bfloat16()


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def train_epoch(
    trainer: CganTrainer,
    batches: Iterable[Batch],
    *,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None] = lambda _: None,
) -> EpochMetrics:
    """Take one step per batch.

    Args:
        trainer: Networks and optimizers.
        batches: This worker's share of each batch.
        epoch: Number of the epoch, from 0.
        seed: Seed of noise and augmentation.
        worker: This process among those that share each batch.
        on_step: Called after each step with the number of steps done.

    Returns:
        Means of `CganTrainer.step`'s metrics over the steps and all workers, and `num_skipped`, the
        number of skipped steps.

    Raises:
        FloatingPointError: Too many steps were skipped.
    """
    trainer.generator.train()
    batch_size, noise_dim = trainer.cgan_config.batch_size, trainer.cgan_config.noise_dim
    # Drawn for the whole batch, so that noise does not depend on the number of workers.
    rng = np.random.default_rng([seed, epoch, 1])
    positions = rank_slice(batch_size, worker.rank, worker.world_size)
    share = slice(positions.start, positions.stop)
    totals: StepMetrics = {}
    num_steps = 0
    for images, labels in batches:
        noise = rng.standard_normal((batch_size, noise_dim), dtype=np.float32)
        real_changes, fake_changes = (
            trainer.augmentation.draw(rng, batch_size, trainer.scale.num_mels) for _ in range(2)
        )
        inputs = [
            torch.from_numpy(values[share]).to(trainer.device, non_blocking=True)
            for values in (noise, real_changes, fake_changes)
        ]
        metrics = trainer.step(images, labels, *inputs)
        totals = {name: totals.get(name, 0) + value for name, value in metrics.items()}
        num_steps += 1
        on_step(num_steps)
    return _epoch_metrics(totals, num_steps, epoch)


def _epoch_metrics(totals: StepMetrics, num_steps: int, epoch: int) -> EpochMetrics:
    """Return means over steps and workers of the steps' summed metrics."""
    summed = sum_over_workers(torch.stack(list(totals.values())))
    sums: EpochMetrics = dict(zip(totals, summed.tolist(), strict=True))
    num_skipped = round(sums.pop("skipped"))
    max_skipped = max(_MAX_SKIPPED, _MAX_SKIPPED_SHARE * num_steps)
    if num_skipped > max_skipped or num_skipped == num_steps:
        raise FloatingPointError(
            f"gradients were not finite in {num_skipped} of {num_steps} steps of epoch {epoch + 1}"
        )
    num_taken = num_steps - num_skipped
    return {name: value / num_taken for name, value in sums.items()} | {"num_skipped": num_skipped}
