"""The sections of metrics.json: the stages write them, the report reads them. Light to import."""

from typing import Final, Literal, NotRequired, TypedDict

ScoreName = Literal["accuracy", "mean_average_precision"]
"""Score that the search of a classifier maximizes: of clips with one label each, or several."""

SCORE_TITLES: Final[dict[ScoreName, str]] = {
    "accuracy": "accuracy",
    "mean_average_precision": "mean average precision",
}
"""Names of the scores in sentences."""


ClassifierKind = Literal["cnn", "embedding", "fusion"]
"""A CNN on spectrograms, a head (linear classifier) on the vectors of the dataset, or both."""

CLASSIFIER_TITLES: Final[dict[ClassifierKind, str]] = {
    "cnn": "CNN on spectrograms",
    "embedding": "head on the embedding",
    "fusion": "fusion of both",
}
"""Names of the classifiers in sentences and tables."""


class DatasetMetrics(TypedDict):
    """Metrics of the dataset stage, as far as the closing summary reads them."""

    num_quarantined: int


Setting = bool | int | float | str
"""Value of one setting of the classifier."""

Settings = dict[str, Setting]
"""Settings of the classifier by name."""


class CalibrationErrors(TypedDict):
    """Expected calibration error on the validation clips."""

    before: float
    after: float


class ClassMetrics(TypedDict):
    """Metrics of one class; the keys are scikit-learn's."""

    precision: float
    recall: float
    support: float
    average_precision: NotRequired[float | None]
    """Of clips with several labels; None if no clip has this one."""
    threshold: NotRequired[float]
    """Probability from which a clip has the label, if clips have several."""


class AuditMetrics(TypedDict):
    """Result of the leakage audit; only the sentence if the audit was not possible."""

    sentence: str
    random_split_accuracy: NotRequired[float]
    recording_split_accuracy: NotRequired[float]
    random_split_mean_average_precision: NotRequired[float]
    recording_split_mean_average_precision: NotRequired[float]
    difference: NotRequired[float]
    num_clips: NotRequired[int]


class ClassifiersMetrics(TypedDict):
    """Comparison of the classifiers of a dataset with an embedding."""

    kept: ClassifierKind
    is_chosen: bool
    """Whether the scores chose it, and not the settings."""
    scores: dict[ClassifierKind, float]
    """Score of each on the same held-out clips."""
    scores_by_fold: dict[ClassifierKind, list[float]]


class ClassChange(TypedDict):
    """What became of a class that an earlier model knew.

    Recall, or average precision if clips have several labels; None if no clip has it.
    """

    before: float | None
    after: float | None
    num_clips: int


class StartMetrics(TypedDict):
    """What became of the classes of the earlier model that a search trained on from.

    Measured on those validation clips that have one of its classes.
    """

    model: str
    """Its file."""
    is_unheard: bool
    """Whether the network that the trials started from is known not to have heard these clips."""
    new_classes: list[str]
    dropped_classes: list[str]
    """Its classes that the dataset does not have."""
    num_clips: int
    before: float
    """Score by the network that the trials started from."""
    after: float
    """Score by the chosen trial."""
    by_class: dict[str, ClassChange]


class SearchMetrics(TypedDict):
    """Metrics of the classifier that a search chose, on clips that it was not trained on."""

    accuracy: NotRequired[float]
    """Accuracy over all validation clips of all folds, of clips with one label each."""
    accuracy_by_fold: NotRequired[list[float]]
    mean_average_precision: NotRequired[float]
    """The same for clips with several labels; the mean is over the classes."""
    mean_average_precision_by_fold: NotRequired[list[float]]
    split: str
    """Description of the split that the score belongs to."""
    num_clips: int
    num_recordings: int
    classifiers: NotRequired[ClassifiersMetrics]
    """Missing if the CNN was the only one."""
    num_trials: int
    """Trials of the search; 0 without a CNN."""
    num_failed_trials: int
    trial: str
    """ID of the chosen trial; empty without a CNN."""
    is_first_trial: bool
    cnn_config: Settings
    """The chosen `CnnConfig`; empty without a CNN."""
    by_class: dict[str, ClassMetrics]
    background_label: NotRequired[str]
    """Class that is the background, if there is one. It counts as an answer here."""
    temperature: float | list[float]
    """One for each class if clips have several labels."""
    calibration_error: CalibrationErrors
    coverage_at_precision: NotRequired[dict[str, float]]
    """Largest share of clips that gets answers of a precision, if unsure ones are unknown; 0 if it
    is not reached. Missing if clips have several labels."""


def search_score(metrics: SearchMetrics) -> tuple[ScoreName, float, list[float]]:
    """Return the score that a search maximized: its name, its value, and the value of each fold."""
    if "mean_average_precision" in metrics:
        by_fold = metrics["mean_average_precision_by_fold"]
        return "mean_average_precision", metrics["mean_average_precision"], by_fold
    return "accuracy", metrics["accuracy"], metrics["accuracy_by_fold"]


class CnnMetrics(SearchMetrics):
    """Metrics of the whole stage."""

    audit: NotRequired[AuditMetrics]
    start: NotRequired[StartMetrics]
    """Missing if the search did not start from an earlier model."""
    num_members: int
    """Networks in the final model."""
    num_extra_clips: int
    trained_on: str
    """Description of the clips that the final model was trained on."""
    machine: str
    """Description of the machine, added when the run folder records the metrics."""


class SubmissionMetrics(TypedDict):
    """Metrics of the submission."""

    num_clips: int
    accuracy: NotRequired[float]


class EvaluationMetrics(TypedDict):
    """The judge's metrics of some clips."""

    overall: dict[str, float | None]
    by_class: dict[str, dict[str, float | None]]
    num_clips: int
    note: str


class HardwareMetrics(TypedDict):
    """Speed of the generator's training and load of its hardware; None if not available.

    Medians over all epochs, of the worker of rank 0; peaks of its memory.
    """

    device: str
    """Name of the GPU, or CPU."""
    gpu_total_mib: float | None
    """Memory of the GPU."""
    num_workers: int
    num_threads: int
    """Threads of one worker."""
    clips_per_s: float | None
    """Clips per second of all workers."""
    step_ms: float | None
    """Time of one step in milliseconds."""
    loader_share: float | None
    """Share of the time in which the training waits for clips."""
    launch_share: float | None
    """Share in which its Python runs: it computes, or on a GPU launches kernels."""
    device_share: float | None
    """Share in which it waits for the GPU."""
    gpu_busy: float | None
    """Share in which the GPU runs a kernel."""
    gpu_power_w: float | None
    process_mib: float | None
    """Memory of the process."""
    gpu_mib: float | None
    """Memory of the GPU that tensors take."""
    limit: str | None
    """Limit of the speed: loader, launches, kernels, or computing."""
    hint: str | None
    """Advice, if more memory or larger batches would be faster."""


class JudgedMetrics(TypedDict):
    """Metrics of generated clips in one space: the features of one network."""

    judge: NotRequired[EvaluationMetrics]
    """Missing if there was no judge, like the others."""
    baseline: NotRequired[EvaluationMetrics]
    """The same metrics of as many real clips."""
    baseline_of_epochs: NotRequired[dict[str, float | None]]
    """The same for as many real clips as an evaluation within the training takes."""


class MixtureMetrics(TypedDict):
    """The value that chooses the epoch, of the same clips as in `JudgedMetrics`."""

    judge: float | None
    baseline: float | None
    baseline_of_epochs: float | None


class GeneratorMetrics(JudgedMetrics):
    """Metrics of the generator's training, beside those of the last epoch.

    Those that it inherits are by the judge's features.
    """

    epoch: int
    """Number of the last epoch."""
    generator_epoch: int
    """Epoch of the saved generator."""
    loss_D: float
    loss_G: float
    embedding: NotRequired[JudgedMetrics]
    """By the vectors of the dataset's pretrained network; missing without one, or without a judge.
    """
    mixture: NotRequired[MixtureMetrics]
    """Missing in runs of earlier versions."""
    hardware: NotRequired[HardwareMetrics]
    machine: str
    """Description of the machine, added when the run folder records the metrics."""


class GeneratedMetrics(TypedDict):
    """Metrics of the clips that the pipeline generates at the end."""

    judge_accuracy: float
    num_clips: int


class RunMetrics(TypedDict, total=False):
    """All sections; those of stages that have not finished are missing."""

    dataset: DatasetMetrics
    cnn: CnnMetrics
    submission: SubmissionMetrics
    cgan: GeneratorMetrics
    generated: GeneratedMetrics
