"""The parts of metrics.json that the report reads. Light to import."""

from typing import NotRequired, TypedDict


class LeakageAudit(TypedDict):
    """Accuracy on a random split beside that on unseen recordings."""

    sentence: str


class DatasetSection(TypedDict):
    """Metrics of the dataset stage."""

    num_quarantined: int


class CnnConfigSection(TypedDict):
    """Settings of the chosen classifier."""

    schedule: str


class ClassScores(TypedDict):
    """Scores of one class, on validation clips."""

    precision: float
    recall: float
    support: float


class ClassifierSection(TypedDict):
    """Metrics of the classifier's stage."""

    accuracy: float
    accuracy_by_fold: list[float]
    by_class: dict[str, ClassScores]
    num_clips: int
    num_recordings: int
    num_trials: int
    num_extra_clips: NotRequired[int]
    split: str
    cnn_config: CnnConfigSection
    audit: NotRequired[LeakageAudit]


class SubmissionSection(TypedDict):
    """Metrics of the submission."""

    num_clips: int
    accuracy: NotRequired[float]


class EvaluationSection(TypedDict):
    """The judge's metrics of some clips."""

    overall: dict[str, float | None]
    num_clips: int
    note: str


class GeneratorSection(TypedDict):
    """Metrics of the generator's training."""

    epoch: int
    generator_epoch: int
    loss_D: float
    loss_G: float
    judge: NotRequired[EvaluationSection]
    baseline: NotRequired[EvaluationSection]
    baseline_of_epochs: NotRequired[dict[str, float | None]]


class GeneratedSection(TypedDict):
    """Metrics of the clips that the pipeline generates at the end."""

    judge_accuracy: float
    num_clips: int


class RunMetrics(TypedDict, total=False):
    """All sections; those of stages that have not finished are missing."""

    dataset: DatasetSection
    cnn: ClassifierSection
    submission: SubmissionSection
    cgan: GeneratorSection
    generated: GeneratedSection
