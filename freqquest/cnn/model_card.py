"""The card of a model: all that prediction needs beside the network. NumPy; no Keras, no Ray.

Shapes: S samples, M mel bands, T frames, N clips, K classes.
"""

from dataclasses import dataclass, field

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.audio.waveform import fit_waveform
from freqquest.cnn.abstention import DEFAULT_PRECISION, UNKNOWN, CoverageCurve
from freqquest.cnn.network import Temperature
from freqquest.dataset.clip_inputs import Analysis
from freqquest.dataset.manifest import LABEL_SEPARATOR, Normalization
from freqquest.dataset.windows import WindowConfig
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.runtime import require_packages
from freqquest.errors import UserError
from freqquest.runs.metrics import Settings
from freqquest.storage import Location

ALL_CLIPS = "all labeled clips"
"""Start of the description of training clips that include the validation clips."""
UNKNOWN_START = ", after a model of unknown clips"
"""End of the description if a network started from a model that may have heard any clips."""
CARD_VERSION = 4
"""Versions 2 and 3 are read too (`freqquest.cnn.earlier_cards`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Description of a model, stored inside its file."""

    classes: list[str]
    clip: ClipConfig
    view: SpectrogramConfig
    most_frequent_class: str
    """Prediction for a clip that cannot be read."""
    cnn_config: Settings
    """`CnnConfig` of the networks; empty without them."""
    num_members: int
    """Number of the CNN's networks that are averaged; 0 if the model takes vectors only."""
    trained_on: str
    """Description of the training clips."""
    temperature: Temperature
    """Divisor of the log probabilities, fitted to a network's predictions of validation clips; of
    several labels, the divisor of each class's logits."""
    normalization: Normalization
    """Statistics of the dataset's training split, which the first layers apply."""
    dataset_sha256: str
    """Hash of the dataset's rows."""
    scores: dict[str, object]
    """Accuracy or mean average precision, and the split that it belongs to."""
    num_extra_clips: int = 0
    """Training clips from outside the dataset; missing in files that predate them."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    """Windows of each file that were trained on, and are classified."""
    thresholds: list[float] | None = None
    """Probability of each class from which a clip has its label; None if clips have one label."""
    detection_thresholds: list[float] | None = None
    """Probability of each class from which a part of a recording has its sound, where noise and
    silence are heard too; None in files that predate them. That of the background is not used."""
    coverage_curve: CoverageCurve | None = None
    """Precision over coverage on held-out clips, to choose the confidence of an answer; None if
    clips have several labels, and in files that predate it."""
    background_label: str | None = None
    """Class of clips that have no sound of another class: trained, but never an answer."""
    embedding: EmbeddingConfig | None = None
    """Pretrained network that gives the model's vectors, and is in its file; None without one."""
    version: int = CARD_VERSION

    def __post_init__(self) -> None:
        for name in ("thresholds", "detection_thresholds"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.classes):
                raise ValueError(
                    f"{len(values)} {name} must be as many as its {len(self.classes)} classes"
                )
        if self.background_label is not None and self.background_label not in self.classes:
            raise ValueError(f"background_label={self.background_label} must be one of its classes")

    @property
    def has_several_labels(self) -> bool:
        """True if clips may have several labels, and a probability for each class by itself."""
        return self.thresholds is not None

    @property
    def has_heard_validation_clips(self) -> bool:
        """True if the networks were trained on the dataset's validation clips too."""
        return self.trained_on.startswith(ALL_CLIPS)

    @property
    def has_unknown_start(self) -> bool:
        """True if nobody knows which clips its networks heard before those of the dataset."""
        return self.trained_on.endswith(UNKNOWN_START)

    @property
    def sound_classes(self) -> list[str]:
        """The classes that can be an answer: all but the background."""
        return [label for label in self.classes if label != self.background_label]

    @property
    def probability_columns(self) -> list[str]:
        """Names of the columns with each class's probabilities, in tables of predictions."""
        return [f"probability_{label}" for label in self.classes]

    def analysis(self, model_file: Location) -> Analysis:
        """Return the analysis that turns waveforms into the model's inputs.

        Args:
            model_file: File of the model, which has the pretrained network in it if there is one.

        Raises:
            UserError: The packages that run the pretrained network are not installed.
        """
        if self.embedding is not None:
            require_packages(self.embedding.name)
        return Analysis(self.clip, self.view, self.embedding, model_file)

    def require_no_embedding(self, name: str, reason: str) -> None:
        """Refuse a model with a pretrained network.

        Args:
            name: Name of the model, for the error.
            reason: What cannot be done with the pretrained network, after "which".

        Raises:
            UserError: The model has one.
        """
        if self.embedding is not None:
            raise UserError(
                f"{name} uses the network {self.embedding.name}, which {reason}: give a model "
                "trained with `classifier=cnn`"
            )

    def unknown_below(self, precision: float | None) -> float:
        """Return the probability below which a clip is to be unknown, for `predict`.

        Args:
            precision: Share of the answers that is to be right; by default 0.95. Clips of several
                labels have a threshold for each class instead, so that it must be None.

        Raises:
            UserError: The model cannot tell, or does not reach the precision on held-out clips.
        """
        if UNKNOWN in self.sound_classes:
            raise UserError(
                f"`unknown` needs a model without a class {UNKNOWN}: rename that class, or name it "
                "as the background (`background_label` of the preprocess job), and train again"
            )
        if self.thresholds is not None:
            if precision is not None:
                raise UserError(
                    f"`precision={precision:g}` needs a model of one label a clip, and this one "
                    "has a threshold for each of several labels: leave it out"
                )
            return 0.0
        if self.coverage_curve is None:
            raise UserError(
                "`unknown` needs a model that carries its precision on held-out clips, and this "
                "one is of an earlier freqquest: run tune_cnn again"
            )
        return self.coverage_curve.threshold_for(precision or DEFAULT_PRECISION)

    def predict(
        self, probabilities: np.ndarray, unknown_below: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the label of each clip, `[N]`, and its probability, given those of all classes.

        It is the most probable class but the background. If clips have several labels, it is all
        such classes that reach their thresholds, sorted and joined, or the one that comes closest;
        the probability is the highest of these classes.

        Args:
            probabilities: `[N, K]`.
            unknown_below: Probability below which the label is `unknown`, as it is where the
                background is the most probable class or, of several labels, no class reaches its
                threshold. By default, no label is.
        """
        is_unknown = self._is_unknown(probabilities, unknown_below)
        are_sounds = np.array([label != self.background_label for label in self.classes])
        classes = np.array(self.classes, object)[are_sounds]
        probabilities = probabilities[:, are_sounds]
        if self.thresholds is None:
            labels = classes[probabilities.argmax(axis=1)]
            return np.where(is_unknown, UNKNOWN, labels), probabilities.max(axis=1)
        thresholds = np.array(self.thresholds)[are_sounds]
        is_predicted = probabilities >= thresholds
        closest = (probabilities / np.maximum(thresholds, 1e-9)).argmax(axis=1)
        is_predicted[np.arange(len(closest)), closest] = True
        labels = np.array(
            [LABEL_SEPARATOR.join(sorted(classes[of_clip])) for of_clip in is_predicted], object
        )
        highest = np.where(is_predicted, probabilities, 0).max(axis=1)
        return np.where(is_unknown, UNKNOWN, labels), highest

    def _is_unknown(self, probabilities: np.ndarray, unknown_below: float | None) -> np.ndarray:
        """Return which clips get no answer, `[N]`, bool."""
        if unknown_below is None:
            return np.zeros(len(probabilities), bool)
        are_sounds = np.array([label != self.background_label for label in self.classes])
        if self.thresholds is not None:
            reached = probabilities >= np.array(self.thresholds)
            return np.asarray(~reached[:, are_sounds].any(axis=1))
        is_unsure = probabilities[:, are_sounds].max(axis=1) < unknown_below
        return np.asarray(is_unsure | ~are_sounds[probabilities.argmax(axis=1)])

    def spectrogram(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the model's input `[M, T]` for a mono waveform `[S]`, padded or cut to length."""
        clip = fit_waveform(waveform, sample_rate_hz, self.clip)
        return log_mel(clip, self.view, self.clip.sample_rate_hz)
