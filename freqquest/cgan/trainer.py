"""One update of both networks.

torch and NumPy only, no Ray: a test, a notebook and a cluster run the same step.
Shapes: B clips of this worker, Z noise values, M mel bands, T frames.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from freqquest.cgan import torch_internals
from freqquest.cgan.augment import Augmentation
from freqquest.cgan.config import CganConfig
from freqquest.cgan.devices import computes_bfloat16
from freqquest.cgan.distributed import sum_gradients, sum_over_workers, world_size
from freqquest.cgan.graphs import Capturer, CudaCapturer, StepGraphs, find_obstacle
from freqquest.cgan.images import ImageScale
from freqquest.cgan.losses import discriminator_loss, generator_loss, gradient_penalty
from freqquest.cgan.networks.build import build_discriminator, build_generator

PENALTY_EVERY = 8
"""Updates of the discriminator between two gradient penalties."""

METRICS = (
    "loss_D",
    "loss_G",
    "accuracy_real",
    "accuracy_fake",
    "norm_D",
    "norm_G",
    "skipped",
)
"""Metrics of a step.

`loss_D`, `loss_G`; `accuracy_real` and `accuracy_fake`, the shares of real and generated clips that
the discriminator classifies correctly; `norm_D` and `norm_G`, the norms of the gradients; and
`skipped`, 1 if an update was skipped because its gradients were not finite (then all others are 0).
"""

TrainerState = dict[str, Any]  # nested state dicts of torch
"""Everything that continues a training, in tensors and plain values only."""


class StepInputs(NamedTuple):
    """Inputs of a step, on the training device."""

    real: Tensor
    """Images `[B, 1, M, T]`, float32."""
    labels: Tensor
    """Their class indices `[B]`; the generated clips have the same classes."""
    noise: Tensor
    """Noise `[B, Z]`."""
    real_changes: Tensor
    """Rows `[B, 6]` of `Augmentation.draw`, which the recipe ignores."""
    fake_changes: Tensor
    """The same for the generated clips."""


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
        compiled: bool = False,
    ) -> None:
        """Build networks with the seed's initial weights, the same on every worker.

        Args:
            cgan_config: Networks and optimization.
            num_classes: Number of classes of the dataset.
            scale: Scale of the images.
            device: Device to train on.
            seed: Seed of the initial weights.
            compiled: Fuse operations by torch.compile, which needs a C compiler on the machine.
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
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(
                network.parameters(),
                cgan_config.learning_rate,
                cgan_config.adam_betas,
                fused=True,
                capturable=device.type == "cuda",
            )
            for network in (self.generator, self.discriminator)
        )
        self._num_updates = 0
        self._average_weight = torch.zeros((), device=device)
        self._totals = torch.zeros(len(METRICS), dtype=torch.float64, device=device)
        self._compile = torch.compile if compiled else lambda function: function
        self._begin()

    def _begin(self) -> None:
        """Prepare the step for this process's weights and optimizers, which stay where they are."""
        self._generate = self._compile(self.generator)
        self._discriminate = self._compile(self.discriminator)
        self._change = self._compile(self.augmentation.apply)
        self._obstacle = find_obstacle(self.device)
        self._graphs: StepGraphs | None = None
        if self._obstacle is None:
            self.use_graphs(CudaCapturer(self.device))

    def use_graphs(self, capturer: Capturer | None) -> None:
        """Replay captured steps, as is done by itself where it can be; with None, no longer."""
        self._graphs = None if capturer is None else StepGraphs(self.update, capturer)

    @property
    def obstacle(self) -> str | None:
        """Reason why steps are not replayed as CUDA graphs, or None if they are."""
        return self._graphs.obstacle if self._graphs is not None else self._obstacle

    def step(self, inputs: StepInputs) -> None:
        """Train the discriminator on real and generated clips, then the generator.

        Adds the step's metrics to those that `pop_metrics` returns. Does not wait for the device.
        """
        # A short average at first forgets the initial weights.
        decay = min(self.cgan_config.ema_decay, (1 + self._num_updates) / (10 + self._num_updates))
        self._average_weight.fill_(1 - decay)
        has_penalty = self.cgan_config.r1 > 0 and self._num_updates % PENALTY_EVERY == 0
        (self._graphs or self.update)(inputs, has_penalty)
        self._num_updates += 1

    def pop_metrics(self) -> dict[str, float]:
        """Return the sums of METRICS over all steps since the last call, and over all workers.

        Waits for the device.
        """
        sums = sum_over_workers(self._totals).tolist()
        self._totals.zero_()
        return dict(zip(METRICS, sums, strict=True))

    def update(self, inputs: Sequence[Tensor], has_penalty: bool) -> None:
        """Compute a step. Nothing in here depends on values, as it may be captured for replay."""
        real, labels, noise, real_changes, fake_changes = inputs
        statistics = [
            value
            for network in (self.generator, self.discriminator)
            for value in network.buffers()
            if value.is_floating_point()
        ]
        statistics_before = [value.clone() for value in statistics]
        with self.autocast():
            fake = self.scale.silence_padding(self._generate(noise, labels))
            if self.cgan_config.augment:
                real = self._change(real, real_changes)
                fake = self._change(fake, fake_changes)
        metrics = self._update_discriminator(real, fake.detach(), labels, has_penalty)
        metrics |= self._update_generator(fake, labels)
        skipped = ~torch.isfinite(metrics["norm_D"] + metrics["norm_G"])
        # The running statistics, unlike the optimizers, have taken a skipped step.
        torch_internals.copy_each(
            statistics,
            [
                torch.where(skipped, before, value)
                for before, value in zip(statistics_before, statistics, strict=True)
            ],
        )
        self._update_average()
        values = torch.stack([metrics[name] for name in METRICS if name != "skipped"])
        is_skipped = skipped.float() / world_size()
        self._totals += torch.cat([torch.where(skipped, 0, values), is_skipped[None]])

    def _update_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, has_penalty: bool
    ) -> dict[str, Tensor]:
        """Train the discriminator on images `[B, 1, M, T]`; return its metrics."""
        with self.autocast():
            real_logits, fake_logits = self._logits(real, fake, labels)
        loss = self._mean(discriminator_loss(real_logits, fake_logits))
        penalty: Tensor | float = 0.0
        if has_penalty:
            # It changes slowly, so it is computed rarely with a larger weight (Karras et al.,
            # "Analyzing and improving the image quality of StyleGAN", 2020). Not compiled:
            # compiled networks have no derivatives along a direction.
            weight = self.cgan_config.r1 / 2 * PENALTY_EVERY
            penalty = weight * self._mean(gradient_penalty(self.discriminator, real, labels))
        norm = _take_step(self.discriminator, self.discriminator_optimizer, loss + penalty)
        return {
            "loss_D": loss.detach(),
            "accuracy_real": self._mean((real_logits > 0).float()),
            "accuracy_fake": self._mean((fake_logits < 0).float()),
            "norm_D": norm / world_size(),  # equal on all workers
        }

    def _update_generator(self, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Train the generator by the images `[B, 1, M, T]` that it has made; return its metrics."""
        with _frozen(self.discriminator):  # its gradients for this loss would be discarded
            with self.autocast():
                logits = self._discriminate(fake, labels)
            loss = self._mean(generator_loss(logits))
            norm = _take_step(self.generator, self.generator_optimizer, loss)
        return {"loss_G": loss.detach(), "norm_G": norm / world_size()}

    def _logits(self, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits `[B]` of real and of generated images."""
        if self.cgan_config.architecture == "recipe":  # normalizes each batch by itself
            return self._discriminate(real, labels), self._discriminate(fake, labels)
        both = self._discriminate(torch.cat([real, fake]), torch.cat([labels, labels]))
        return both[: len(real)], both[len(real) :]

    @torch.no_grad()
    def generate(self, noise: Tensor, labels: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Return the averaged generator's spectrograms, as `TrainedGenerator.spectrograms` does."""
        images = self.averaged_generator(noise.to(self.device), labels.to(self.device))
        return self.scale.decode(images, None if shifts is None else shifts.to(self.device))

    def autocast(self) -> torch.autocast:
        """Return a context in which networks use the configured precision, if the device has it."""
        wants_bfloat16 = self.cgan_config.precision == "bfloat16"
        enabled = wants_bfloat16 and computes_bfloat16(self.device)
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
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["capturable"] = self.device.type == "cuda"  # the saved value may be a CPU's
        self._begin()  # the optimizers have new tensors

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

    @torch.no_grad()
    def _update_average(self) -> None:
        averaged, current = self.averaged_generator.state_dict(), self.generator.state_dict()
        for name, value in averaged.items():
            if value.is_floating_point():
                value.lerp_(current[name], self._average_weight)
            else:
                value.copy_(current[name])


def _take_step(network: nn.Module, optimizer: torch.optim.Adam, loss: Tensor) -> Tensor:
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


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
