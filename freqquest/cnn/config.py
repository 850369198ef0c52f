"""Settings of one classifier and its training, and the presets. Light to import."""

from dataclasses import dataclass
from typing import Literal

from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.choices import check_choices
from freqquest.presets import Preset

FLOOR_DB = -CNN_VIEW.top_db
"""Floor of the stored spectrograms, in dB below each clip's maximum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnConfig:
    """One classifier and its training: a point in the search space. The defaults are a preset."""

    network: Literal["residual", "plain"] = "residual"
    """Architecture. plain: blocks of 3 x 3 convolution, ReLU, batch normalization and 2 x 2 max
    pooling. residual: a strided 5 x 5 convolution, then blocks of two 3 x 3 convolutions with a
    shortcut (He et al., 2016)."""

    num_blocks: int = 3
    """Number of blocks. Each but the first residual block halves both sides of its input; a side of
    1 stays as it is."""

    num_filters: int = 24
    """Output channels of the first block; each following block has twice as many."""

    input_pooling: int = 2
    """Side of the squares over which the input is averaged, at most a side of the input; 1 keeps
    the full resolution."""

    pooling: Literal["average", "average_max"] = "average"
    """Pooling of the last block's output: its average, or also the maximum over time of its average
    over bands."""

    block_dropout: float = 0.0
    """Dropout rate after each block (used by the recipe's second author)."""

    dense_units: int = 0
    """Units of a hidden layer before the last layer; 0 for none."""

    dropout: float = 0.3
    """Dropout rate before the last layer."""

    batch_norm_momentum: float = 0.9
    """Momentum of the running statistics. Keras' 0.99 makes them lag by hundreds of steps."""

    normalization: Literal["none", "dataset", "band", "clip", "clip_band", "dataset+clip_band"] = (
        "dataset+clip_band"
    )
    """Normalization of the input. none: dB below the clip's maximum. dataset: scaled by mean and
    standard deviation of the training split. band: the same for each mel band. clip: minus the
    clip's mean. clip_band: minus the mean of each band of the clip, which removes the coloration of
    microphone and room. a+b: one network for each, trained jointly; their logits are averaged."""

    floor_db: float = -60.0
    """Floor of the input, in dB below the clip's maximum; -80 keeps what is stored. Quieter parts
    say more about the recording than about the source."""

    time_shift: bool = True
    """Rotate each training clip in time by a random number of frames."""

    band_shift: float = 3 / 128
    """Largest shift of a training clip up or down, as a share of the mel bands."""

    equalizer_db: float = 6.0
    """Largest gain or attenuation of a random smooth filter, which imitates other microphones and
    rooms (FilterAugment, Nam et al., 2022)."""

    noise_db: float = 0.0
    """Highest level of added colored noise, in dB above the floor of -80 dB; 0 for no noise."""

    num_masks: int = 2
    """Number of masks over bands, and as many over time (SpecAugment, Park et al., 2019)."""

    mixup: float = 0.3
    """Parameter of Beta(mixup, mixup), the distribution of mixing shares; 0 for no mixing (Zhang et
    al., 2018)."""

    recording_balance: float = 0.5
    """Exponent that keeps long recordings from dominating: a clip of a recording with n clips is
    drawn in proportion to n^-recording_balance. With 0, or in a dataset without recordings, all
    clips of a class are drawn equally often."""

    class_balance: bool = True
    """Draw all classes equally often. If false, keep each class's share of the clips."""

    copies: Literal["draw", "all"] = "draw"
    """Use of the augmented copies in the dataset. draw: one random version of each clip per epoch.
    all: every copy in every epoch, as in the recipe."""

    optimizer: Literal["adam", "adamw"] = "adamw"
    """Optimizer. adamw is Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    learning_rate: float = 2e-3
    """Peak learning rate."""

    weight_decay: float = 0.02
    """Weight decay of adamw, applied to kernels only."""

    schedule: Literal["one_cycle", "plateau"] = "one_cycle"
    """Learning rate schedule. one_cycle: linear warm-up over a tenth of the training, then cosine
    decay; the model of the last epoch is kept. plateau: the recipe's callbacks, which use the
    validation clips; the model of the best epoch is kept."""

    label_smoothing: float = 0.1
    """Share of each target that is spread over all classes; unused if clips have several labels."""

    weight_average: float = 1 / 3
    """Width s of the average of the weights over all steps, which is kept: step t counts as
    t^(1/s - 1), so that later steps count more (polynomial-decay averaging, Shamir and Zhang,
    2013). With 1, all count alike; 0 keeps the last weights."""

    batch_size: int = 32
    """Clips in one training step."""

    min_steps: int = 20
    """Minimum steps per epoch: small datasets are repeated, with new augmentation. 0 for one pass
    over the clips, with a smaller last batch."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not 1 <= self.num_blocks <= 6:
            raise ValueError(
                f"`num_blocks={self.num_blocks}` must be from 1 to 6: each block halves its input"
            )
        if not 0 <= self.band_shift < 1:
            raise ValueError(
                f"`band_shift={self.band_shift:g}` must be at least 0 and below 1: it is a share "
                "of the mel bands, and 0.0234 is 3 of 128"
            )
        shares = "block_dropout dropout batch_norm_momentum label_smoothing weight_average"
        for name in shares.split():
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}={getattr(self, name)}` must be at least 0 and below 1")
        if not FLOOR_DB <= self.floor_db < 0:
            raise ValueError(
                f"`floor_db={self.floor_db}` must be at least {FLOOR_DB}, the floor of the stored "
                "spectrograms, and below 0"
            )
        for name in ("num_filters", "input_pooling", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}={getattr(self, name)}` must be above 0")
        counts = "dense_units num_masks min_steps"
        for name in f"{counts} equalizer_db noise_db mixup recording_balance weight_decay".split():
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}={getattr(self, name)}` must be 0 or more")


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
        band_shift=0.0,
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
