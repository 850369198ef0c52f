"""Settings of the generate job.

Light to import, because `--help` reads it.
"""

from dataclasses import dataclass

from freqquest.cluster.requirements import Requirements


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateConfig:
    """Generate new clips of a class."""

    generator: str
    """Generator (generator.safetensors of a train_cgan run); it holds its classes and spectrogram
    settings."""

    label: str
    """Class to generate, or all."""

    output_dir: str
    """Folder for the WAV files, which are named LABEL_SEED_INDEX.wav."""

    num_clips: int = 8
    """Number of clips of each class."""

    seed: int = 0
    """Seed of the noise; the same seed gives the same clips, within rounding."""

    oversample: int = 1
    """Generate so many candidates for each clip. The judge keeps those that it recognizes and that
    represent the others."""

    judge: str | None = None
    """Classifier of the same classes (best_model.keras of a tune_cnn run), which chooses among the
    candidates."""

    use_gpu: bool = False
    """Compute on a GPU."""

    overwrite: bool = False
    """Replace files of the same name."""

    def __post_init__(self) -> None:
        for name in ("num_clips", "oversample"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}={getattr(self, name)}` must be 1 or more")
        if self.oversample > 1 and self.judge is None:
            raise ValueError(
                f"`oversample={self.oversample}` needs a `judge`, which chooses among the "
                "candidates: give the best_model.keras of a tune_cnn run"
            )
        if self.oversample == 1 and self.judge is not None:
            raise ValueError(
                f"`judge={self.judge}` needs `oversample` of 2 or more: there are no other "
                "candidates to choose from"
            )
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")

    @property
    def candidates_name(self) -> str:
        """Name of the table of candidates in the output folder."""
        return f"{self.label}_{self.seed}_candidates.csv"

    @property
    def requirements(self) -> Requirements:
        """Requirements on cluster and storage."""
        return Requirements(
            reads={"generator": self.generator, "judge": self.judge},
            writes={"output_dir": self.output_dir},
            cpus_per_worker=1,
            use_gpu=self.use_gpu,
        )
