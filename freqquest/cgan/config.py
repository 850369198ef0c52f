"""Settings of the generator. Light to import: `--help` reads it."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from freqquest.cluster.requirements import Requirements
from freqquest.presets import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class CganConfig:
    """Networks and optimization. The defaults are the preset `default`."""

    architecture: Literal["recipe", "projection"] = "projection"
    """`projection`: noise and class modulate each layer of the generator, and the discriminator compares the class with
    what it found (Miyato and Koyama, 2018). `recipe`: both networks take the class as an input."""

    noise_dim: int = 128
    """Length of the noise vector, drawn from a standard normal distribution."""

    generator_channels: int = 128
    """Of its smallest map (projection networks)."""

    discriminator_channels: int = 128
    """Of its smallest map (projection networks)."""

    floor: float = 1e-4
    """Networks see ln(1 + power / floor), in which quiet clips have as much to show as loud ones, and no frames behind
    a clip's end; 0 shows them ln(1 + power), as stored."""

    augment: bool = True
    """Turn, mask, and change the level of what the discriminator sees, real or generated (Zhao et al., 2020)."""

    r1: float = 0.25
    """Weight of the penalty on the discriminator's gradient at real clips (R1, Mescheder et al., 2018); 0 is none."""

    learning_rate: float = 2e-4
    """Adam's step size, for both networks."""

    adam_betas: tuple[float, float] = (0.0, 0.99)
    """Decay of Adam's two running means."""

    batch_size: int = 16
    """Clips in a step, over all workers."""

    ema_decay: float = 0.995
    """Decay of the running mean of the generator's weights that is saved and heard; 0 saves the weights themselves."""

    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the convolutions' arithmetic, where the device has instructions for it; weights and losses stay
    float32."""

    inversion: Literal["default", "recipe"] = "default"
    """How spectrograms become sound (freqquest/audio/invert.py)."""

    def __post_init__(self) -> None:
        for name in (
            "noise_dim",
            "generator_channels",
            "discriminator_channels",
            "learning_rate",
            "batch_size",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")
        if self.r1 < 0:
            raise ValueError(f"r1={self.r1} must be 0 or more")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay} must be from 0 to below 1")
        if self.floor < 0 or (self.floor == 0) != (self.architecture == "recipe"):
            raise ValueError(
                f"floor={self.floor} must be 0 for the recipe's networks, and above 0 for the others"
            )
        if self.augment and self.architecture == "recipe":
            raise ValueError("augment is for the projection networks: the recipe changes nothing")


PRESETS: dict[Preset, CganConfig] = {
    "default": CganConfig(),
    "reference": CganConfig(
        architecture="recipe",
        noise_dim=100,
        floor=0.0,
        augment=False,
        r1=0.0,
        adam_betas=(0.5, 0.999),
        ema_decay=0.0,
        precision="float32",
        inversion="recipe",
    ),
}


EPOCHS: dict[Preset, int] = {"default": 200, "reference": 50}
"""Passes over the training clips when the user names no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Train a generator of new clips for each class of a dataset."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py."""

    run_dir: str
    """Run folder for the generator, checkpoints, sounds, pictures and logs."""

    preset: Preset = "default"
    """`reference`: the published recipe exactly. `default`: the best that was measured."""

    epochs: int | None = None
    """Passes over the training split: 50 for reference and 200 for default, if not given."""

    batch_size: int | None = None
    """Clips in a step, over all workers: 16, if not given. Large GPUs want more, which gives another model."""

    judge: str | None = None
    """best_model.keras of jobs/tune_cnn.py for the same classes: it hears generated clips while the training goes on,
    and the epoch that it finds nearest to real clips is kept."""

    judge_every: int | None = None
    """Epochs between two judgments; by default such that there are ten, or a few more."""

    judge_clips: int = 8
    """Clips of each class for a judgment while training; the final one takes four times as many."""

    sample_every: int | None = None
    """Epochs between two sets of sounds and pictures: 1 up to 50 epochs, above that such that there are some 40, if not
    given."""

    num_workers: str = "1"
    """Processes that share each batch, or MIN:MAX for as many as there is room for, more or fewer when nodes come and
    go. One uses all cores of its node; several are for GPUs, or several nodes."""

    use_gpu: bool = False
    """Give each worker a GPU."""

    cpus_per_worker: int | None = None
    """CPU cores of each worker; by default the cluster's cores shared among them."""

    seed: int = 0
    """Seed of initial weights, noise, and the order of clips."""

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "judge_every",
            "judge_clips",
            "sample_every",
            "cpus_per_worker",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must be 0 or more")
        fewest, most = self.workers
        if most < fewest:
            raise ValueError(
                f"num_workers={self.num_workers} must name the fewest first, as in {most}:{fewest}"
            )
        if not 1 <= fewest <= most <= self.cgan_config.batch_size:
            raise ValueError(
                f"num_workers={self.num_workers} must be from 1 to {self.cgan_config.batch_size}, the clips of a batch, "
                "which workers share"
            )

    @property
    def cgan_config(self) -> CganConfig:
        """Networks and optimization of the preset."""
        preset = PRESETS[self.preset]
        return dataclasses.replace(preset, batch_size=self.batch_size or preset.batch_size)

    @property
    def workers(self) -> tuple[int, int]:
        """Fewest and most workers."""
        fewest, colon, most = self.num_workers.partition(":")
        most = most if colon else fewest
        if not fewest.isdecimal() or not most.isdecimal():
            raise ValueError(f"num_workers={self.num_workers} must be a number, or two as in 2:8")
        return int(fewest), int(most)

    @property
    def effective_epochs(self) -> int:
        """Passes over the training split."""
        return self.epochs or EPOCHS[self.preset]

    @property
    def effective_judge_every(self) -> int:
        """Epochs between two judgments."""
        return self.judge_every or max(1, self.effective_epochs // 10)

    @property
    def effective_sample_every(self) -> int:
        """Epochs between two sets of sounds and pictures."""
        return self.sample_every or (
            1 if self.effective_epochs <= 50 else self.effective_epochs // 40
        )

    @property
    def final_judge_clips(self) -> int:
        """Clips of each class for the final judgment."""
        return 4 * self.judge_clips

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        fewest, most = self.workers
        return Requirements(
            reads={"dataset_dir": self.dataset_dir, "judge": self.judge},
            writes={"run_dir": self.run_dir},
            num_workers=fewest,
            most_workers=most if most > fewest else None,
            cpus_per_worker=self.cpus_per_worker,
            use_gpu=self.use_gpu,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateConfig:
    """Make new clips of a class."""

    generator: str
    """generator.safetensors of a run; it carries its classes and spectrogram settings."""

    label: str
    """Class of the clips, or `all`."""

    output_dir: str
    """Folder for the WAV files, named <label>_<seed>_<index>.wav."""

    num_clips: int = 8
    """Clips of each class."""

    seed: int = 0
    """The same seed gives the same clips."""

    use_gpu: bool = False
    """Compute on a GPU."""

    overwrite: bool = False
    """Replace files of the same name."""

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise ValueError(f"num_clips={self.num_clips} must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must be 0 or more")

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        return Requirements(
            reads={"generator": self.generator},
            writes={"output_dir": self.output_dir},
            cpus_per_worker=1,
            use_gpu=self.use_gpu,
        )
