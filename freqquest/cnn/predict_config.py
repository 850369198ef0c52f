"""Settings of the predict stage. Light to import, because `--help` reads them."""

import posixpath
from dataclasses import dataclass

from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements
from freqquest.dataset.quarantine import check_quarantined_fraction
from freqquest.dataset.windows import WindowsKind


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """Classify a folder of clips."""

    model: str
    """Classifier: best_model.keras of a run. It carries its classes and spectrogram settings."""

    audio_dir: str
    """Folder of clips."""

    output: str
    """CSV file to write, with columns ID and Class, or with those of the sample. Several labels in
    Class are joined by semicolons."""

    sample_submission: str | None = None
    """CSV file with a column ID (file names), which sets the rows and their order. If it has a
    column for each class instead of Class, so does the output, with probabilities. Default: every
    clip, sorted by name."""

    windows: WindowsKind | None = None
    """Parts of each file to classify; the probabilities of several are averaged. Default: as in
    training."""

    probabilities: bool = False
    """Add a column with the probability of each class, unless the sample has such columns."""

    unknown: bool = False
    """Label clips "unknown" of which the classifier is not sure enough: whose probability is too
    low for `precision`, or that it takes for background. Of several labels, clips that reach no
    class's threshold. Unreadable files are unknown too."""

    precision: float | None = None
    """Share of the answers that is to be right, on clips like the held-out ones on which the
    classifier was measured; the others are unknown. Default with `unknown`: 0.95."""

    max_quarantined_fraction: float = 0.05
    """Fraction of unreadable files above which the job stops without an output. One unreadable file
    is always allowed unless this is 0."""

    use_gpu: bool = False
    """Compute on GPUs. Decoding takes longer than the network, so this rarely saves time."""

    overwrite: bool = False
    """Replace an existing output file."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.precision is not None and not 0 < self.precision <= 1:
            raise ValueError(f"`precision={self.precision:g}` must be above 0 and at most 1")
        if self.precision is not None and not self.unknown:
            raise ValueError(
                f"`precision={self.precision:g}` needs `unknown`: without it, every clip gets an "
                "answer"
            )
        check_quarantined_fraction(self.max_quarantined_fraction)

    @property
    def requirements(self) -> Requirements:
        """Paths and resources that the job needs."""
        reads = {
            "model": self.model,
            "audio_dir": self.audio_dir,
            "sample_submission": self.sample_submission,
        }
        return Requirements(
            reads=reads,
            writes={"output": posixpath.dirname(self.output) or "."},
            use_gpu=self.use_gpu,
        )
