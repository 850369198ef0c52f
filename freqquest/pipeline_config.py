"""Settings of the pipeline, and those of each stage that follow from them.

Light to import: `--help` reads them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from freqquest.audio import demo_folder
from freqquest.cgan.config import TrainConfig
from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cluster.requirements import Requirements
from freqquest.cnn.predict_config import PredictConfig
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.config import DatasetSettings, PreprocessConfig
from freqquest.dataset.views import RECIPE_VIEWS, require_recipe_views
from freqquest.presets import Preset
from freqquest.runs import layout
from freqquest.runs.tracker import Tracker

_DEMO_BUDGET = {"num_trials": 2, "max_epochs": 6, "num_members": 1, "epochs": 30}
"""Settings that run every stage of the demo in a few minutes on two cores.

The generator has only begun to learn by then."""

_DEMO_TRAINING = {"sample_every": 10, "judge_every": 15}
"""Settings of the generator's training in the demo."""

_DEMO_VALIDATION_FRACTION = 0.4
"""Share of the demo's clips for validation, unless the user gives another one than the default:
four recordings of each class, so that there are mistakes to listen to."""

_MAX_JUDGE_CLIPS, _MAX_DEMO_JUDGE_CLIPS = 8, 4
"""Largest number of clips of each class for an evaluation while the generator trains."""

PATHS = ("audio_dir", "metadata", "annotations", "test_dir", "sample_submission", "embedding")
"""Settings that name the user's files and folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineConfig(DatasetSettings):
    """Settings of all stages, from a folder of clips to a classifier and a generator."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class; without it, demo clips are made."""

    test_dir: str | None = None
    """Folder of unlabeled clips to classify into submission.csv."""

    sample_submission: str | None = None
    """CSV with a column ID, which fixes the submission's rows and their order."""

    run_dir: str | None = None
    """Folder for all results; by default results/demo, or results/<name of the audio folder>."""

    preset: Preset = "default"
    """Settings of both models. reference: the published recipes exactly. default: the best that was
    measured."""

    num_trials: int | None = None
    """Classifier configurations to try; by default 2 in the demo, else as in the tune_cnn job."""

    max_epochs: int | None = None
    """Longest training of one classifier configuration; by default 6 epochs in the demo, else as
    in the tune_cnn job."""

    num_members: int | None = None
    """Networks in the final classifier; by default 1 in the demo, else as in the tune_cnn job."""

    epochs: int | None = None
    """Epochs of the generator's training; by default 30 in the demo, else as in the train_cgan
    job."""

    batch_size: str | int | None = None
    """Clips in one step of the generator's training, or auto, as for the train_cgan job."""

    num_clips: int = 8
    """Clips of each class to generate and classify at the end. The judge takes as many at each
    evaluation, at most 8, or 4 in the demo."""

    num_workers: str | int = "1"
    """Processes that train the generator, or MIN:MAX, as for the train_cgan job."""

    use_gpu: bool = False
    """Compute on GPUs: the classifier's trials and its submission, the generator's training, and
    the new clips."""

    track: Tracker | None = None
    """Tracker that also gets each trial and epoch of both trainings, as for the tune_cnn and
    train_cgan jobs."""

    def __post_init__(self) -> None:
        DatasetSettings.__post_init__(self)
        of_clips = set(PATHS) - {"audio_dir", "embedding"}
        given = [name for name in PATHS if name in of_clips and getattr(self, name)]
        if self.is_demo and given:
            raise ValueError(f"`{given[0]}` needs `audio_dir`: the demo brings its own clips")
        if self.sample_submission and not self.test_dir:
            raise ValueError("`sample_submission` needs `test_dir`, the folder of its files")
        if self.preset == "reference":
            for name in RECIPE_VIEWS:
                require_recipe_views(self.clip, self.views, name)
        # Each checks its own settings.
        _ = self.preprocess_config, self.tune_config, self.train_config, self.generate_config

    @property
    def is_demo(self) -> bool:
        """True if the clips are demo clips, which the pipeline makes."""
        return self.audio_dir is None

    @property
    def effective_run_dir(self) -> str:
        """Run folder, with the default resolved."""
        name = Path(self.audio_dir).absolute().name if self.audio_dir else "demo"
        return self.run_dir or f"results/{name}"

    @property
    def model_path(self) -> str:
        """Final classifier, in the run folder."""
        return self._in_run(layout.MODEL_NAME)

    @property
    def test_labels(self) -> str | None:
        """CSV of the test clips' classes, which only the demo has."""
        return self._in_demo(demo_folder.TEST_LABELS_NAME) if self.is_demo else None

    @property
    def preprocess_config(self) -> PreprocessConfig:
        """Settings of the dataset."""
        fields = DatasetSettings.__dataclass_fields__
        shared = {name: getattr(self, name) for name in fields}
        name = "validation_fraction"
        if self.is_demo and shared[name] == fields[name].default:
            shared[name] = _DEMO_VALIDATION_FRACTION
        return PreprocessConfig(
            audio_dir=self.audio_dir or self._in_demo(demo_folder.TRAIN_DIR),
            dataset_dir=self._in_run(layout.DATASET_DIR),
            **shared | {"test_dir": None},  # the submission reads the test clips itself
        )

    @property
    def tune_config(self) -> TuneConfig:
        """Settings of the search."""
        return TuneConfig(
            dataset_dir=self._in_run(layout.DATASET_DIR),
            run_dir=self.effective_run_dir,
            preset=self.preset,
            use_gpu=self.use_gpu,
            audit_leakage=True,
            track=self.track,
            seed=self.seed,
            **self._given("num_trials", "max_epochs", "num_members"),
        )

    @property
    def predict_config(self) -> PredictConfig | None:
        """Settings of the submission, if there are test clips."""
        if not (self.is_demo or self.test_dir):
            return None
        sample = self._in_demo(demo_folder.SAMPLE_SUBMISSION_NAME)
        return PredictConfig(
            model=self.model_path,
            audio_dir=self.test_dir or self._in_demo(demo_folder.TEST_DIR),
            output=self._in_run(layout.SUBMISSION_NAME),
            sample_submission=sample if self.is_demo else self.sample_submission,
            max_quarantined_fraction=self.max_quarantined_fraction,
            use_gpu=self.use_gpu,
            overwrite=True,
        )

    @property
    def train_config(self) -> TrainConfig:
        """Settings of the generator's training."""
        return TrainConfig(
            dataset_dir=self._in_run(layout.DATASET_DIR),
            run_dir=self.effective_run_dir,
            preset=self.preset,
            use_gpu=self.use_gpu,
            seed=self.seed,
            num_workers=self.num_workers,
            judge=self.model_path,
            batch_size=self.batch_size,
            track=self.track,
            judge_clips=min(
                self.num_clips, _MAX_DEMO_JUDGE_CLIPS if self.is_demo else _MAX_JUDGE_CLIPS
            ),
            **self._given("epochs"),
            **(_DEMO_TRAINING if self.is_demo else {}),
        )

    @property
    def generate_config(self) -> GenerateConfig:
        """Settings of the clips made at the end; those of an interrupted run are made again."""
        return GenerateConfig(
            generator=self._in_run(layout.GENERATOR_NAME),
            label="all",
            output_dir=self._in_run(layout.GENERATED_DIR),
            num_clips=self.num_clips,
            seed=self.seed,
            use_gpu=self.use_gpu,
            overwrite=True,
        )

    @property
    def requirements(self) -> Requirements:
        """Requirements on the cluster, of which the generator's training has most."""
        return replace(
            self.train_config.requirements,
            reads={name: getattr(self, name) for name in PATHS},
            writes={"run_dir": self.effective_run_dir},
        )

    def _in_run(self, name: str) -> str:
        return f"{self.effective_run_dir}/{name}"

    def _in_demo(self, name: str) -> str:
        return self._in_run(f"{layout.DEMO_DIR}/{name}")

    def _given(self, *names: str) -> dict[str, Any]:
        """Return those settings that the user or the demo sets; stages hold the other defaults."""
        demo = _DEMO_BUDGET if self.is_demo else {}
        values = {
            name: getattr(self, name) if getattr(self, name) is not None else demo.get(name)
            for name in names
        }
        return {name: value for name, value in values.items() if value is not None}
