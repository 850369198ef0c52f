"""Settings of the generator and of its training.

Light to import, because `--help` reads it.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal, Self

from freqquest.choices import check_choices, number_range
from freqquest.cluster.requirements import Requirements
from freqquest.presets import Preset
from freqquest.runs.tracker import Tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class CganConfig:
    """Architecture and optimization of both networks. The defaults are the preset `default`."""

    architecture: Literal["recipe", "projection"] = "projection"
    """Architecture. projection: noise and class modulate each layer of the generator, and the
    discriminator compares the class with its features (Miyato and Koyama, 2018). recipe: both
    networks take the class as an input."""

    noise_dim: int = 128
    """Length of the noise vector, drawn from a standard normal distribution."""

    generator_channels: int = 128
    """Channels of the generator's smallest map (projection only)."""

    overlapping: bool = True
    """Write the image in overlapping squares of 8 x 8 values; False writes squares of 4 x 4
    that touch (projection only)."""

    discriminator_channels: int = 128
    """Channels of the discriminator's smallest map (projection only)."""

    floor: float = 1e-4
    """Power floor of the networks' images, ln(1 + power / floor), which show quiet clips as clearly
    as loud ones and end where the clips end. With 0, images are ln(1 + power), as stored."""

    augment: bool = True
    """Rotate, mask, and change the level of the discriminator's inputs, real or generated (Zhao et
    al., 2020)."""

    r1: float = 0.25
    """Weight of the R1 penalty on the discriminator's gradient at real clips (Mescheder et al.,
    2018); 0 for none."""

    learning_rate: float = 2e-4
    """Learning rate of both Adam optimizers."""

    adam_betas: tuple[float, float] = (0.0, 0.99)
    """Decay rates of Adam's two running means."""

    batch_size: int = 16
    """Clips in one training step, over all workers."""

    ema_decay: float = 0.995
    """Decay of the running average of the generator's weights, which is saved and judged; 0 for the
    weights themselves."""

    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Arithmetic of the networks, where the device has instructions for it. Weights and losses stay
    float32."""

    inversion: Literal["default", "recipe"] = "default"
    """Method that turns spectrograms into waveforms (freqquest/audio/invert.py). "recipe" is the
    method `reference`, under the name that stored files have."""

    def with_batch_size(self, batch_size: int) -> Self:
        """Return the same training with another batch size.

        The average of the weights spans as many clips as before. The learning rate stays: its
        square-root scaling (Malladi et al., "On the SDEs and scaling rules for adaptive gradient
        algorithms", 2022) was no better at 64 clips, and at 256 the networks did not learn
        (docs/generator.md).
        """
        decay = self.ema_decay ** (batch_size / self.batch_size)
        return dataclasses.replace(self, batch_size=batch_size, ema_decay=decay)

    def __post_init__(self) -> None:
        check_choices(self)
        for name in (
            "noise_dim",
            "generator_channels",
            "discriminator_channels",
            "learning_rate",
            "batch_size",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}={getattr(self, name)}` must be above 0")
        if self.r1 < 0:
            raise ValueError(f"`r1={self.r1}` must be 0 or more")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay={self.ema_decay}` must be at least 0 and below 1")
        if self.floor < 0 or (self.floor == 0) != (self.architecture == "recipe"):
            raise ValueError(
                f"`floor={self.floor}` must be 0 for the recipe's networks, and above 0 for others"
            )
        if self.augment and self.architecture == "recipe":
            raise ValueError(
                "`augment=True` must be False for the recipe's networks, which augment nothing"
            )


PRESETS: dict[Preset, CganConfig] = {
    "default": CganConfig(),
    "reference": CganConfig(
        architecture="recipe",
        noise_dim=100,
        overlapping=False,
        floor=0.0,
        augment=False,
        r1=0.0,
        adam_betas=(0.5, 0.999),
        ema_decay=0.0,
        precision="float32",
        inversion="recipe",
    ),
}


AUTO = "auto"
"""Batch size that is chosen by the memory of the GPUs."""

MAX_AUTO_BATCH_SIZE = 64
"""Largest batch size that is chosen; larger ones make worse clips (docs/generator.md)."""

EPOCHS: dict[Preset, int] = {"default": 200, "reference": 50}
"""Number of epochs of each preset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Train a generator of new clips for each class of a dataset."""

    dataset_dir: str
    """Dataset made by the preprocess job."""

    run_dir: str
    """Run folder for the generator, checkpoints, sounds, pictures and logs."""

    preset: Preset = "default"
    """Settings of networks and optimization. reference: the published recipe exactly. default: the
    best that was measured."""

    epochs: int | None = None
    """Passes over the training split. Default: 200, or 50 with `preset=reference`."""

    batch_size: str | int | None = None
    """Clips in one training step, over all workers, or auto: on GPUs, as many as their memory has
    room for, at most 64. Default: 16. Larger batches train faster on GPUs, and give another
    model."""

    judge: str | None = None
    """Classifier (best_model.keras of a tune_cnn run for the same classes) that scores generated
    clips during the training. The epoch closest to real clips is kept, by its features and by the
    dataset's embedding, if it has one."""

    judge_every: int | None = None
    """Epochs between two evaluations by the judge. Default: a tenth of all epochs."""

    judge_clips: int = 8
    """Clips of each class in an evaluation by the judge; the final one takes four times as
    many."""

    sample_every: int | None = None
    """Epochs between two sets of sounds and pictures. Default: 1 for up to 50 epochs, else a
    fortieth of all epochs."""

    num_workers: str | int = "1"
    """Number of processes that share each batch, or MIN:MAX to use as many as there is room for
    while nodes come and go. One worker uses all cores of its node; use several for GPUs or several
    nodes."""

    use_gpu: bool = False
    """Give each worker a GPU."""

    cpus_per_worker: int | None = None
    """CPU cores of each worker. Default: as many as let all workers run side by side, at most
    all cores of a node."""

    track: Tracker | None = None
    """Tracker that also gets each epoch, beside TensorBoard: MLflow or Weights & Biases. Its own
    environment variables name the store (MLFLOW_TRACKING_URI, by default mlflow.db in the current
    folder; WANDB_API_KEY, WANDB_MODE) and the experiment (MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT; by
    default, the name of the run folder)."""

    seed: int = 0
    """Seed of initial weights, noise, and order of clips."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not re.fullmatch(f"None|{AUTO}|[1-9][0-9]*", str(self.batch_size)):
            raise ValueError(f"`batch_size={self.batch_size}` must be 1 or more, or {AUTO}")
        for name in ("epochs", "judge_every", "judge_clips", "sample_every", "cpus_per_worker"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}={value}` must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")
        min_workers, max_workers = self.workers
        if not 1 <= min_workers <= max_workers <= self.cgan_config.batch_size:
            raise ValueError(
                f"`num_workers={self.num_workers}` must be from 1 to "
                f"{self.cgan_config.batch_size}, the clips of a batch: each worker needs one"
            )

    @property
    def cgan_config(self) -> CganConfig:
        """Networks and optimization of the preset, with this batch size if it is a number."""
        preset = PRESETS[self.preset]
        has_number = self.batch_size not in (None, AUTO)
        return preset.with_batch_size(int(str(self.batch_size))) if has_number else preset

    @property
    def workers(self) -> tuple[int, int]:
        """Minimum and maximum number of workers."""
        return number_range("num_workers", self.num_workers)

    @property
    def effective_epochs(self) -> int:
        """Number of epochs."""
        return self.epochs or EPOCHS[self.preset]

    @property
    def effective_judge_every(self) -> int:
        """Epochs between two evaluations by the judge."""
        return self.judge_every or max(1, self.effective_epochs // 10)

    @property
    def effective_sample_every(self) -> int:
        """Epochs between two sets of sounds and pictures."""
        return self.sample_every or (
            1 if self.effective_epochs <= 50 else self.effective_epochs // 40
        )

    @property
    def final_judge_clips(self) -> int:
        """Clips of each class in the final evaluation."""
        return 4 * self.judge_clips

    @property
    def requirements(self) -> Requirements:
        """Requirements on cluster and storage."""
        min_workers, max_workers = self.workers
        return Requirements(
            reads={"dataset_dir": self.dataset_dir, "judge": self.judge},
            writes={"run_dir": self.run_dir},
            num_workers=min_workers,
            max_workers=max_workers if max_workers > min_workers else None,
            cpus_per_worker=self.cpus_per_worker,
            use_gpu=self.use_gpu,
        )
