"""Settings of the classifier. Light to import: `--help` reads it."""

from dataclasses import dataclass

from freqquest.dataset.config import Preset


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnConfig:
    """One classifier and how it is trained: a point of the search."""

    num_blocks: int = 3
    """Blocks of 3 x 3 convolution, ReLU, batch normalisation and 2 x 2 maximum pooling."""

    num_filters: int = 32
    """Output channels of the first block; each further block has twice as many."""

    block_dropout: float = 0.0
    """Share of each block's outputs dropped in training (the recipe's second author used it)."""

    dense_units: int = 128
    """Units of the hidden layer after global average pooling."""

    dropout: float = 0.3
    """Share of the hidden layer's outputs dropped in training."""

    standardise_input: bool = True
    """Bring the input to mean 0 and deviation 1 over the training split; else the network sees decibels."""

    batch_norm_momentum: float = 0.9
    """Memory of the running statistics. Keras' own 0.99 lags for hundreds of steps, and inference with it."""

    learning_rate: float = 1e-3
    """Adam's step size at the start."""

    batch_size: int = 32
    """Clips in a training step."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_blocks <= 6:
            raise ValueError(f"num_blocks={self.num_blocks} must be from 1 to 6: each halves the spectrogram's sides")
        for name in ("block_dropout", "dropout", "batch_norm_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be from 0 to below 1")
        for name in ("num_filters", "dense_units", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")


PRESETS: dict[Preset, CnnConfig] = {
    "reference": CnnConfig(standardise_input=False, batch_norm_momentum=0.99),
    "default": CnnConfig(),
}

NUM_TRIALS: dict[Preset, int] = {"reference": 1, "default": 4}
"""Configurations tried when the user names no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """Search for the classifier that hears unseen recordings best."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py."""

    run_dir: str
    """Run folder for the model, tables, pictures and logs."""

    preset: Preset = "default"
    """`reference`: the published recipe exactly (further trials only change its seed). `default`: our best
    configuration first, then others sampled around it."""

    num_trials: int | None = None
    """Configurations to try: 1 for reference and 4 for default, if not given."""

    max_epochs: int = 40
    """Longest training of one configuration, in epochs."""

    cpus_per_trial: int = 2
    """CPU cores of a trial; a smaller machine's trials take what it has."""

    use_gpu: bool = False
    """Give each trial a GPU."""

    seed: int = 0
    """Seed of the search, of initial weights, and of the order of clips."""

    def __post_init__(self) -> None:
        for name in ("num_trials", "max_epochs", "cpus_per_trial"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """Classify a folder of clips."""

    model: str
    """best_model.keras of a run; it carries its classes and spectrogram settings."""

    audio_dir: str
    """Folder of clips."""

    output: str
    """CSV to write: ID, Class."""

    sample_submission: str | None = None
    """CSV with a column ID (file names), which fixes the rows and their order; else every clip, sorted."""

    overwrite: bool = False
    """Replace an output file that exists."""
