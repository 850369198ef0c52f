"""Settings of the main job, and those of each stage that follow from them. Light to import, as `--help` reads them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from freqquest.cgan.config import GenerateConfig, TrainConfig
from freqquest.cluster.requirements import Requirements
from freqquest.cnn.config import TuneConfig
from freqquest.dataset.config import PreprocessConfig
from freqquest.presets import Preset

_DEMO_BUDGET = {"num_trials": 2, "max_epochs": 12, "num_members": 1, "epochs": 40}
_DEMO_TRAINING = {"sample_every": 10, "judge_every": 20}
"""Show every stage in a few minutes on two cores; the generator has only begun to learn by then."""

_MOST_JUDGED = 8
"""Clips of each class for a judgment of the CGAN while it trains."""

PATHS = ("audio_dir", "metadata", "test_dir", "sample_submission")
"""Settings that name what the user brings."""

CNN_BUDGET = ("num_trials", "max_epochs", "num_members")
"""Settings of the search that the demo gives other values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineConfig:
    """From a folder of clips to a classifier, a submission, a generator and a report."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class; without it, demo clips are made."""

    metadata: str | None = None
    """CSV that tells of the clips: labels, recordings, folds, splits (see jobs/preprocess.py --help)."""

    recording_pattern: str | None = None
    """Regular expression whose first group is the recording, searched in each file name."""

    test_dir: str | None = None
    """Folder of unlabeled clips to classify into submission.csv."""

    sample_submission: str | None = None
    """CSV with a column ID, which fixes the submission's rows and their order."""

    run_dir: str | None = None
    """Folder for all results; by default results/demo, or results/<name of the audio folder>."""

    preset: Preset = "default"
    """`reference`: the published recipes exactly. `default`: the best that was measured."""

    num_trials: int | None = None
    """CNN configurations to try; by default 2 in the demo, else the stage's own number."""

    max_epochs: int | None = None
    """Longest training of one CNN configuration; by default 12 in the demo, else the stage's own number."""

    num_members: int | None = None
    """Networks in the final classifier; by default 1 in the demo, else the stage's own number."""

    epochs: int | None = None
    """Passes of the CGAN over the training clips; by default 40 in the demo, else the stage's own number."""

    num_clips: int = 8
    """Clips of each class to generate, and to have judged, at the end."""

    num_workers: str = "1"
    """Processes that train the CGAN, or MIN:MAX (see jobs/train_cgan.py --help)."""

    use_gpu: bool = False
    """Give each CNN trial, each CGAN worker, and the task that makes clips a GPU."""

    seed: int = 0
    """Seed of all that is random."""

    def __post_init__(self) -> None:
        if self.audio_dir is None and (self.metadata or self.test_dir or self.sample_submission):
            raise ValueError(
                "--metadata, --test-dir and --sample-submission need --audio-dir: the demo brings its own clips"
            )
        if self.sample_submission and not self.test_dir:
            raise ValueError("--sample-submission needs --test-dir, where its files lie")
        _ = self.tune, self.train, self.generate, self.preprocess  # each checks its own settings

    @property
    def run(self) -> str:
        """The run folder."""
        return (
            self.run_dir
            or f"results/{Path(self.audio_dir).absolute().name if self.audio_dir else 'demo'}"
        )

    @property
    def dataset(self) -> str:
        """The dataset, inside the run folder."""
        return f"{self.run}/dataset"

    @property
    def preprocess(self) -> PreprocessConfig:
        """Settings of the dataset."""
        return PreprocessConfig(
            audio_dir=self.audio_dir or f"{self.run}/demo/train",
            dataset_dir=self.dataset,
            metadata=self.metadata,
            recording_pattern=self.recording_pattern,
            seed=self.seed,
        )

    @property
    def tune(self) -> TuneConfig:
        """Settings of the search."""
        given = self._given(*CNN_BUDGET)
        return TuneConfig(
            dataset_dir=self.dataset,
            run_dir=self.run,
            preset=self.preset,
            use_gpu=self.use_gpu,
            audit_leakage=True,
            seed=self.seed,
            **given,
        )

    @property
    def train(self) -> TrainConfig:
        """Settings of the CGAN's training."""
        return TrainConfig(
            dataset_dir=self.dataset,
            run_dir=self.run,
            preset=self.preset,
            use_gpu=self.use_gpu,
            seed=self.seed,
            num_workers=self.num_workers,
            judge=f"{self.run}/best_model.keras",
            judge_clips=min(self.num_clips, _MOST_JUDGED),
            **self._given("epochs"),
            **(_DEMO_TRAINING if self.audio_dir is None else {}),
        )

    @property
    def generate(self) -> GenerateConfig:
        """Settings of the clips made at the end; those of an interrupted run are made again."""
        return GenerateConfig(
            generator=f"{self.run}/generator.safetensors",
            label="all",
            output_dir=f"{self.run}/generated",
            num_clips=self.num_clips,
            seed=self.seed,
            use_gpu=self.use_gpu,
            overwrite=True,
        )

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster: by the generator's training most of all."""
        reads = {name: getattr(self, name) for name in PATHS}
        return replace(
            self.train.requirements,
            reads=reads,
            writes={"run_dir": self.run},
        )

    def _given(self, *names: str) -> dict[str, Any]:
        """The settings that the user or the demo sets; the stages hold the other defaults."""
        demo = _DEMO_BUDGET if self.audio_dir is None else {}
        values = {
            name: getattr(self, name) if getattr(self, name) is not None else demo.get(name)
            for name in names
        }
        return {name: value for name, value in values.items() if value is not None}
