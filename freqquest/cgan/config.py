"""Settings of the generator. Light to import: `--help` reads it."""

from dataclasses import dataclass
from typing import Literal

from freqquest.dataset.config import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class CganConfig:
    """Networks and optimisation."""

    noise_dim: int = 100
    """Length of the noise vector, drawn from a standard normal distribution."""

    learning_rate: float = 2e-4
    """Adam's step size for the generator."""

    discriminator_learning_rate: float = 2e-4
    """Adam's step size for the discriminator."""

    adam_betas: tuple[float, float] = (0.5, 0.999)
    """Decay of Adam's two running means."""

    batch_size: int = 16
    """Clips in a step, over all workers."""

    ema_decay: float = 0.0
    """Decay of the running mean of the generator's weights that is saved and heard; 0 saves the weights themselves."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the convolutions' arithmetic, where the device has instructions for it; weights and losses stay
    float32."""

    def __post_init__(self) -> None:
        for name in ("noise_dim", "learning_rate", "discriminator_learning_rate", "batch_size"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay} must be from 0 to below 1")


PRESETS: dict[Preset, CganConfig] = {
    "reference": CganConfig(),
    "default": CganConfig(ema_decay=0.99, precision="bfloat16"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Train a generator of new clips for each class of a dataset."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py."""

    run_dir: str
    """Run folder for the generator, checkpoints, sounds, pictures and logs."""

    preset: Preset = "default"
    """`reference`: the published recipe exactly. `default`: the best that was measured."""

    epochs: int = 50
    """Passes over the training split."""

    num_workers: int = 1
    """Processes that share each batch. One uses all cores of its node; several are for GPUs, or several nodes."""

    use_gpu: bool = False
    """Give each worker a GPU."""

    cpus_per_worker: int | None = None
    """CPU cores of each worker; by default the cluster's cores shared among them."""

    seed: int = 0
    """Seed of initial weights, noise, and the order of clips."""

    def __post_init__(self) -> None:
        for name in ("epochs", "num_workers", "cpus_per_worker"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        if PRESETS[self.preset].batch_size % self.num_workers:
            raise ValueError(
                f"num_workers={self.num_workers} does not divide the batch of {PRESETS[self.preset].batch_size} clips: "
                "every worker takes an equal part of it"
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

    overwrite: bool = False
    """Replace files of the same name."""

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise ValueError(f"num_clips={self.num_clips} must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must be 0 or more")
