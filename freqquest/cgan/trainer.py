"""One update of both networks. Knows nothing of Ray, so a test, a notebook and a cluster run the same step.

Shapes: B clips of this worker, Z noise values, M mel bands, T frames.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from freqquest.cgan.augment import Augmentation
from freqquest.cgan.batches import Batch
from freqquest.cgan.config import CganConfig
from freqquest.cgan.distributed import Worker, sum_gradients, sum_over_workers, world_size
from freqquest.cgan.images import ImageScale
from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.networks.build import build_discriminator, build_generator
from freqquest.dataset.order import rank_slice

PENALTY_EVERY = 8
"""Updates of the discriminator."""


class CganTrainer:
    """Both networks, their optimizers, and the averaged generator that is saved and heard."""

    def __init__(
        self,
        config: CganConfig,
        num_classes: int,
        scale: ImageScale,
        device: torch.device,
        *,
        seed: int,
    ) -> None:
        """Build networks with the seed's initial weights, the same on every worker.

        Args:
            config: Networks and optimization.
            num_classes: Of the dataset.
            scale: What the networks see of its spectrograms.
            device: Where to train.
            seed: Of the initial weights.
        """
        self.config, self.num_classes, self.scale, self.device = config, num_classes, scale, device
        self.augmentation = Augmentation(num_frames=scale.filled_frames)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = build_generator(config, num_classes, scale)
            discriminator = build_discriminator(config, num_classes)
        # Channels-last is the layout that both CPU and GPU convolve fastest in.
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged_generator = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._num_updates = 0
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(
                network.parameters(), config.learning_rate, config.adam_betas, fused=True
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
    ) -> dict[str, Tensor]:
        """Train the discriminator on real and generated clips, then the generator.

        Args:
            real: Images `[B, 1, M, T]`, float32.
            labels: Their class indices `[B]`; generated clips take the same classes.
            noise: `[B, Z]`.
            real_changes: Rows `[B, 6]` of `Augmentation.draw`, which the recipe ignores.
            fake_changes: The same for the generated clips.

        Returns:
            Scalars on the device, whose sums over all workers are the whole batch's: the losses, the shares of real and
            of generated clips that the discriminator tells rightly, and the gradients' norms; and `skipped`, 1 where an
            update was left out because these were not finite, all others being 0 then. Reading them waits for the
            device, so read them seldom.
        """
        running = [
            value for network in (self.generator, self.discriminator) for value in network.buffers()
        ]
        before = [value.clone() for value in running]
        with self.autocast():
            fake = self.generator(noise, labels)
            seen = self._change(fake, fake_changes)
            shown = self._change(real, real_changes)
            real_logits = self.discriminator(shown, labels)
            fake_logits = self.discriminator(seen.detach(), labels)
        loss_d = self._mean(discriminator_loss(real_logits, fake_logits))
        penalty = self._penalty(shown, labels)
        norm_d = self._update(self.discriminator, self.discriminator_optimizer, loss_d + penalty)
        with _frozen(
            self.discriminator
        ):  # its gradients for the generator's loss would be thrown away
            with self.autocast():
                again = self.discriminator(seen, labels)
            loss_g = self._mean(generator_loss(again))
            norm_g = self._update(self.generator, self.generator_optimizer, loss_g)
        skipped = ~torch.isfinite(norm_d + norm_g)
        for value, old in zip(
            running, before, strict=True
        ):  # running statistics take in whatever they are given
            value.copy_(torch.where(skipped, old, value))
        self._update_average()
        self._num_updates += 1
        everywhere = {"norm_D": norm_d, "norm_G": norm_g}
        figures = {
            "loss_D": loss_d.detach(),
            "loss_G": loss_g.detach(),
            "accuracy_real": self._mean((real_logits > 0).float()),
            "accuracy_fake": self._mean((fake_logits < 0).float()),
        } | {name: value / world_size() for name, value in everywhere.items()}
        finite = {name: torch.where(skipped, 0, value) for name, value in figures.items()}
        return finite | {"skipped": skipped.float() / world_size()}

    @torch.no_grad()
    def generate(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Spectrograms `[B, M, T]`, float32, of the averaged generator."""
        return self.scale.decode(
            self.averaged_generator(noise.to(self.device), labels.to(self.device))
        )

    def autocast(self) -> torch.autocast:
        """The networks' arithmetic, in the precision that was asked for where the device has it."""
        enabled = self.config.precision == "bfloat16" and _computes_bfloat16(self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def state_dict(self) -> dict[str, Any]:
        """All that continues the training, tensors and plain values only."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "num_updates": self._num_updates
        }

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

    def _mean(self, values: Tensor) -> Tensor:
        """What `[B]` values of this worker add to the mean over the whole batch."""
        return values.sum() / self.config.batch_size

    def _change(self, images: Tensor, changes: Tensor) -> Tensor:
        return self.augmentation.apply(images, changes) if self.config.augment else images

    def _penalty(self, real: Tensor, labels: Tensor) -> Tensor:
        """R1 at every few updates, as much heavier: it changes slowly (Karras et al., "Analyzing StyleGAN", 2020)."""
        if self.config.r1 == 0 or self._num_updates % PENALTY_EVERY != 0:
            return torch.zeros((), device=self.device)
        weight = self.config.r1 / 2 * PENALTY_EVERY
        return weight * self._mean(gradient_penalty(self.discriminator, real, labels))

    def _update(self, network: nn.Module, optimizer: torch.optim.Adam, loss: Tensor) -> Tensor:
        """One step of an optimizer; the norm of the gradients, and no step where that is not finite."""
        optimizer.zero_grad()
        loss.backward()
        sum_gradients(network)
        norm = nn.utils.get_total_norm(
            [value.grad for value in network.parameters() if value.grad is not None]
        )
        # The fused step looks at this on the device, and leaves the update out where it is 1.
        optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        optimizer.step()
        return norm

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


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


_MOST_SKIPPED, _MOST_SKIPPED_SHARE = 3, 0.1
"""Steps of an epoch without finite gradients: more than both is no accident."""


def train_epoch(
    trainer: CganTrainer,
    batches: Iterable[Batch],
    *,
    epoch: int,
    seed: int,
    worker: Worker,
    on_step: Callable[[int], None],
) -> dict[str, float]:
    """Take one step for each batch.

    Args:
        trainer: Networks and optimizers.
        batches: This worker's part of each batch.
        epoch: Counted from 0.
        seed: Of the order, of the noise, and of the changes.
        worker: Which part of each batch is this process's.
        on_step: Called after each step with the number of steps done.

    Returns:
        Means over the steps, of all workers' clips (see `CganTrainer.step`), and `num_skipped`, how many steps changed
        nothing.

    Raises:
        FloatingPointError: Too many steps were skipped.
    """
    trainer.generator.train()
    config, scale = trainer.config, trainer.scale
    # Drawn for the whole batch, as the order of the clips is, so that neither depends on the number of workers.
    source = np.random.default_rng([seed, epoch, 1])
    part = rank_slice(config.batch_size, worker.rank, worker.world_size)
    mine = slice(part.start, part.stop)
    totals: dict[str, torch.Tensor] = {}
    num_steps = 0
    for images, labels in batches:
        noise = source.standard_normal((config.batch_size, config.noise_dim), dtype=np.float32)
        drawn = [
            trainer.augmentation.draw(source, config.batch_size, scale.num_mels)
            for _ in ("real", "generated")
        ]
        sent = [
            torch.from_numpy(values[mine]).to(trainer.device, non_blocking=True)
            for values in (noise, *drawn)
        ]
        figures = trainer.step(images, labels, *sent)
        totals = {name: totals.get(name, 0) + value for name, value in figures.items()}
        num_steps += 1
        on_step(num_steps)
    sums = dict(
        zip(totals, sum_over_workers(torch.stack(list(totals.values()))).tolist(), strict=True)
    )
    num_skipped = round(sums.pop("skipped"))
    if (
        num_skipped > max(_MOST_SKIPPED, _MOST_SKIPPED_SHARE * num_steps)
        or num_skipped == num_steps
    ):
        raise FloatingPointError(
            f"gradients were not finite in {num_skipped} of {num_steps} steps of epoch {epoch + 1}"
        )
    return {name: value / (num_steps - num_skipped) for name, value in sums.items()} | {
        "num_skipped": num_skipped
    }
