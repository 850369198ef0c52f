"""Settings of the tune stage. Light to import, because `--help` reads them."""

from dataclasses import dataclass
from typing import Literal

from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements
from freqquest.presets import Preset
from freqquest.runs.tracker import Tracker

ClassifierChoice = Literal["auto", "cnn", "embedding", "fusion"]

NUM_TRIALS: dict[Preset, int] = {"default": 4, "reference": 1}
"""Default of `TuneConfig.num_trials`."""

MAX_EPOCHS: dict[Preset, int] = {"default": 25, "reference": 40}
"""Default of `TuneConfig.max_epochs`. With few recordings, longer training overfits."""

NUM_MEMBERS: dict[Preset, int] = {"default": 3, "reference": 0}
"""Default of `TuneConfig.num_members`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """Search for the classifier that does best on unseen recordings."""

    dataset_dir: str
    """Dataset made by the preprocess job."""

    run_dir: str
    """Run folder for the model, tables, plots and logs."""

    extra_clips: str | None = None
    """Folder of additional training clips, such as generated ones, on which nothing is evaluated:
    one folder per class, or files named <label>_<seed>_<index>.wav as the generate job names them.
    Clips of a generator that was trained on evaluated clips inflate the accuracy; with `num_folds`,
    all clips are evaluated."""

    start_from: str | None = None
    """The best_model.keras of an earlier search, to train on from: the networks start from its
    weights, with smaller steps and its normalization. Classes may be added or missing; the metrics
    say what became of those that it knew."""

    preset: Preset = "default"
    """Start of the search. default: our best configuration, then the published recipe, then
    configurations chosen by the search. reference: the published recipe exactly (further trials
    only change its seed)."""

    classifier: ClassifierChoice = "auto"
    """Classifier of a dataset with an embedding. cnn: on spectrograms. embedding: a linear
    classifier of the vectors, fitted in seconds. fusion: the mean of both. auto: the one with the
    best score on held-out clips. Other datasets, and `preset=reference`, have cnn alone."""

    num_trials: int | None = None
    """Configurations to try. Default: 4, or 1 with `preset=reference`."""

    max_epochs: int | None = None
    """Longest training of a trial, in epochs. Default: 25, or 40 with `preset=reference`."""

    num_folds: int | None = None
    """Number of cross-validation folds, made of whole recordings (or of the dataset's own folds).
    Default: evaluate once, on the dataset's validation clips."""

    only: tuple[str, ...] = ()
    """Values that the search may use: name=value or name=value,value,... for settings of the
    classifier (freqquest.cnn.search.space lists those that are searched)."""

    num_members: int | None = None
    """Networks in the final model: the best configuration, trained this many times on all labeled
    clips; their predictions are averaged. With 0, the final model is what the best trial trained,
    without the validation clips. Default: 3, or 0 with `preset=reference`. Always 0 for a
    configuration whose training uses validation clips (schedule=plateau)."""

    audit_leakage: bool = False
    """Also train the best configuration on a random split, and report how much higher its accuracy
    is than on unseen recordings."""

    cpus_per_trial: int | None = None
    """CPU cores of each trial. Default: the cores are divided among the trials."""

    trials_per_gpu: int = 4
    """Trials, or networks of the final model, that share one GPU; each also needs a core. A network
    this small leaves most of a GPU idle. Fewer are faster one by one, and need less GPU memory."""

    use_gpu: bool = False
    """Train on GPUs, with whichever of TensorFlow and PyTorch finds them."""

    mixed_precision: bool = False
    """Compute in bfloat16, with float32 weights: for GPUs of the Ampere generation or later. The
    model file computes in float32."""

    track: Tracker | None = None
    """Tracker that also gets each trial and epoch, beside TensorBoard: MLflow or Weights & Biases.
    Its own environment variables name the store (MLFLOW_TRACKING_URI, by default mlflow.db in the
    current folder; WANDB_API_KEY, WANDB_MODE) and the experiment (MLFLOW_EXPERIMENT_NAME,
    WANDB_PROJECT; by default, the name of the run folder)."""

    seed: int = 0
    """Seed of the search, the initial weights, and the order of clips."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("num_trials", "max_epochs", "cpus_per_trial", "trials_per_gpu"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}={value}` must be 1 or more")
        if self.only and self.preset == "reference":
            raise ValueError(
                "`only` has no effect with `preset=reference`, which varies its seed alone: leave "
                "out one of the two"
            )
        self._check_classifier()
        self._check_start()
        if self.mixed_precision and not self.use_gpu:
            raise ValueError(
                "`mixed_precision` needs `use_gpu`: on CPU cores it would save no time"
            )
        if self.num_folds is not None and self.num_folds < 2:
            raise ValueError(f"`num_folds={self.num_folds}` must be 2 or more")
        if self.num_members is not None and self.num_members < 0:
            raise ValueError(f"`num_members={self.num_members}` must be 0 or more")
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")

    def _check_classifier(self) -> None:
        """Refuse settings of a CNN without one, and an embedding beside the exact recipe."""
        if self.preset == "reference" and self.classifier in ("embedding", "fusion"):
            raise ValueError(
                f"`classifier={self.classifier}` is not in the published recipe: leave it out, or "
                "use `preset=default`"
            )
        if self.classifier == "embedding":
            for name in ("num_trials", "max_epochs", "only"):
                if getattr(self, name):
                    raise ValueError(
                        f"`{name}` has no effect with `classifier=embedding`, which trains no CNN: "
                        "leave out one of the two"
                    )

    def _check_start(self) -> None:
        """Refuse an earlier model where no CNN starts from it, or where clips it knows score it."""
        if self.start_from is None:
            return
        reasons = {
            "preset=reference": (self.preset == "reference", "the recipe starts from nothing"),
            "classifier=embedding": (self.classifier == "embedding", "it trains no CNN"),
            "num_folds": (self.num_folds is not None, "the model has heard clips of each part"),
            "audit_leakage": (self.audit_leakage, "the model has heard clips of a random split"),
        }
        for name, (is_set, reason) in reasons.items():
            if is_set:
                raise ValueError(
                    f"`start_from` does not go with `{name}`: {reason}; leave out one of the two"
                )

    @property
    def effective_num_trials(self) -> int:
        """Configurations to try, with the preset's default resolved."""
        return self.num_trials or NUM_TRIALS[self.preset]

    @property
    def effective_max_epochs(self) -> int:
        """Longest training of one configuration, with the preset's default resolved."""
        return self.max_epochs or MAX_EPOCHS[self.preset]

    @property
    def effective_num_members(self) -> int:
        """Networks trained on all clips, with the preset's default resolved."""
        return NUM_MEMBERS[self.preset] if self.num_members is None else self.num_members

    @property
    def requirements(self) -> Requirements:
        """Paths and resources that the job needs."""
        return Requirements(
            reads={
                "dataset_dir": self.dataset_dir,
                "extra_clips": self.extra_clips,
                "start_from": self.start_from,
            },
            writes={"run_dir": self.run_dir},
            cpus_per_worker=self.cpus_per_trial,
            use_gpu=self.use_gpu,
        )
