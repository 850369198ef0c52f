"""Settings of the classifier. Light to import: `--help` reads it."""

import posixpath
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from freqquest.cluster.requirements import Requirements
from freqquest.presets import Preset

FLOOR_DB = -80.0
"""The quietest that the stored view holds, in decibels below the clip's maximum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnConfig:
    """One classifier and how it is trained: a point of the search. The defaults are the preset `default`."""

    network: Literal["residual", "plain"] = "residual"
    """`plain`: blocks of 3 x 3 convolution, ReLU, batch normalization and 2 x 2 maximum pooling. `residual`: blocks of
    two 3 x 3 convolutions beside a shortcut, after a strided 5 x 5 one (He et al., 2016)."""

    num_blocks: int = 3
    """Blocks, each of which halves the spectrogram's sides (the first residual one does not)."""

    num_filters: int = 24
    """Output channels of the first block; each further block has twice as many."""

    input_pooling: int = 2
    """The network sees averages over squares of this side; 1 leaves the spectrogram as it is."""

    pooling: Literal["average", "average_max"] = "average"
    """How the last block's map becomes one vector: averages, or these plus maxima over time of averages over bands."""

    block_dropout: float = 0.0
    """Share of each block's outputs dropped in training (the recipe's second author used it)."""

    dense_units: int = 0
    """Units of a hidden layer before the last; 0 is none."""

    dropout: float = 0.3
    """Share of the last layer's inputs dropped in training."""

    batch_norm_momentum: float = 0.9
    """Memory of the running statistics. Keras' own 0.99 lags for hundreds of steps, and inference with it."""

    normalization: Literal["none", "dataset", "band", "clip", "clip_band", "dataset+clip_band"] = (
        "dataset+clip_band"
    )
    """What the network sees: decibels below the clip's maximum (`none`), or these scaled by mean and deviation of the
    dataset's training split (`dataset`), the same for each mel band (`band`), with each clip's own mean taken off
    (`clip`), or that of each of its bands, which a microphone and a place color (`clip_band`). `a+b` is a network for
    each, side by side, trained as one: their scores are averaged before the softmax."""

    floor_db: float = -60.0
    """What is quieter than this below the clip's maximum is not seen: it tells more of the recording than of the
    source. -80 is as stored."""

    time_shift: bool = True
    """Turn each training clip in time by any number of frames."""

    band_shift: int = 3
    """Most mel bands by which a training clip is moved up or down."""

    equalizer_db: float = 6.0
    """Largest gain or loss of a random smooth filter, as other microphones and places would have (Nam et al., 2022,
    FilterAugment)."""

    noise_db: float = 0.0
    """Top of the range, above the floor of -80 dB, from which the level of an added colored noise is drawn."""

    num_masks: int = 2
    """Stripes blanked out over bands, and over time (Park et al., 2019, SpecAugment)."""

    mixup: float = 0.3
    """Clips are mixed in shares drawn from Beta(mixup, mixup) (Zhang et al., 2018); 0 mixes none."""

    recording_balance: float = 0.5
    """A clip whose recording has n clips is drawn in proportion to n to the power of minus this, so that a long
    recording does not count for many. 0 takes all clips of a class alike; so does a dataset without recordings."""

    class_balance: bool = True
    """Draw clips of each class equally often. False keeps to each class's share of the clips."""

    copies: Literal["draw", "all"] = "draw"
    """Where the dataset has varied copies of its training clips: an epoch sees one of each clip's (`draw`), or all of
    them (`all`, as in the recipe)."""

    optimizer: Literal["adam", "adamw"] = "adamw"
    """`adamw` is Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019)."""

    learning_rate: float = 2e-3
    """Largest step size."""

    weight_decay: float = 0.02
    """Of adamw, on kernels alone."""

    schedule: Literal["one_cycle", "plateau"] = "one_cycle"
    """`one_cycle`: the step size rises over a tenth of the training, and falls as a cosine; the last epoch's model
    counts. `plateau`: the recipe's callbacks, which look at the validation clips; the best epoch's model counts."""

    label_smoothing: float = 0.1
    """Share of the target that is spread over all classes."""

    weight_average: float = 0.99
    """Memory of the running average of the weights, whose model counts; 0 is none (Polyak averaging)."""

    batch_size: int = 32
    """Clips in a training step."""

    min_steps: int = 20
    """Least number of steps that count as an epoch: few clips are gone through several times, varied anew. 0 takes an
    epoch as it is, with a smaller last batch."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(CnnConfig).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is none of {', '.join(get_args(kind))}"
                )
        if not 1 <= self.num_blocks <= 6:
            raise ValueError(
                f"num_blocks={self.num_blocks} must be from 1 to 6: each halves the spectrogram's sides"
            )
        for name in (
            "block_dropout",
            "dropout",
            "batch_norm_momentum",
            "label_smoothing",
            "weight_average",
        ):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be from 0 to below 1")
        if not FLOOR_DB <= self.floor_db < 0:
            raise ValueError(
                f"floor_db={self.floor_db} must be from {FLOOR_DB} (all that is stored) to below 0"
            )
        for name in ("num_filters", "input_pooling", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")
        counts = ("dense_units", "band_shift", "num_masks", "min_steps")
        for name in (
            *counts,
            "equalizer_db",
            "noise_db",
            "mixup",
            "recording_balance",
            "weight_decay",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more")


PRESETS: dict[Preset, CnnConfig] = {
    "default": CnnConfig(),
    "reference": CnnConfig(
        network="plain",
        num_filters=32,
        input_pooling=1,
        dense_units=128,
        batch_norm_momentum=0.99,
        normalization="none",
        floor_db=FLOOR_DB,
        time_shift=False,
        band_shift=0,
        equalizer_db=0.0,
        num_masks=0,
        mixup=0.0,
        recording_balance=0.0,
        class_balance=False,
        copies="all",
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="plateau",
        min_steps=0,
        label_smoothing=0.0,
        weight_average=0.0,
    ),
}

NUM_TRIALS: dict[Preset, int] = {"default": 4, "reference": 1}
"""Configurations tried when the user names no number."""

MAX_EPOCHS: dict[Preset, int] = {"default": 25, "reference": 40}
"""Longest training when the user names no number. On few recordings, longer training learns these by heart."""

NUM_MEMBERS: dict[Preset, int] = {"default": 3, "reference": 0}
"""Networks of the final model that are trained on all labeled clips, when the user names no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """Search for the classifier that hears unseen recordings best."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py."""

    run_dir: str
    """Run folder for the model, tables, pictures and logs."""

    extra_clips: str | None = None
    """Folder of clips, generated ones for instance, to train on and never to be judged by: one folder a class, or named
    <label>_<seed>_<index>.wav, as by jobs/generate.py. A generator that has learned from clips that judge here (with
    num_folds, all do) flatters the accuracy."""

    preset: Preset = "default"
    """`default`: our best configuration first, then the published recipe's, then others that the search chooses.
    `reference`: the published recipe exactly (further trials only change its seed)."""

    num_trials: int | None = None
    """Configurations to try: 1 for reference and 4 for default, if not given."""

    max_epochs: int | None = None
    """Longest training of one configuration, in epochs: 25 for default and 40 for reference, if not given."""

    num_folds: int | None = None
    """Judge each configuration by cross-validation: this many parts of whole recordings (the dataset's own folds where
    it has them) are held out in turn. By default once, on the dataset's validation clips."""

    only: tuple[str, ...] = ()
    """Narrow the search: name=value or name=value,value,... for settings in freqquest/cnn/space.py."""

    num_members: int | None = None
    """Networks of the best configuration, each trained on all labeled clips, whose average is the final model: 3 for
    default, if not given. 0 keeps what the best trial trained, without the validation clips (0 for reference); so does
    a configuration whose training looks at validation clips (schedule=plateau)."""

    audit_leakage: bool = False
    """Fit the best configuration also on a random split, and report how much that flatters."""

    cpus_per_trial: int | None = None
    """CPU cores of a trial; by default the cores are shared out among the trials."""

    trials_per_gpu: int = 1
    """Trials that share a GPU."""

    use_gpu: bool = False
    """Train on GPUs."""

    seed: int = 0
    """Seed of the search, of initial weights, and of the order of clips."""

    def __post_init__(self) -> None:
        for name in ("num_trials", "max_epochs", "cpus_per_trial", "trials_per_gpu"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        if self.only and self.preset == "reference":
            raise ValueError("--only has nothing to narrow: the reference varies its seed alone")
        if self.num_folds is not None and self.num_folds < 2:
            raise ValueError(f"num_folds={self.num_folds} must be 2 or more")
        if self.num_members is not None and self.num_members < 0:
            raise ValueError(f"num_members={self.num_members} must be 0 or more")

    @property
    def effective_num_trials(self) -> int:
        """Configurations to try."""
        return self.num_trials or NUM_TRIALS[self.preset]

    @property
    def effective_max_epochs(self) -> int:
        """Longest training of one configuration."""
        return self.max_epochs or MAX_EPOCHS[self.preset]

    @property
    def effective_num_members(self) -> int:
        """Networks of the final model that are trained on all clips."""
        return NUM_MEMBERS[self.preset] if self.num_members is None else self.num_members

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        return Requirements(
            reads={"dataset_dir": self.dataset_dir, "extra_clips": self.extra_clips},
            writes={"run_dir": self.run_dir},
            cpus_per_worker=self.cpus_per_trial,
            use_gpu=self.use_gpu,
        )


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

    probabilities: bool = False
    """Add a column with each class's probability."""

    overwrite: bool = False
    """Replace an output file that exists."""

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        reads = {
            "model": self.model,
            "audio_dir": self.audio_dir,
            "sample_submission": self.sample_submission,
        }
        return Requirements(reads=reads, writes={"output": posixpath.dirname(self.output) or "."})
