"""The model file: a `.keras` archive with a card, which holds all that prediction needs.

Keras is imported inside the functions; no Ray. Shapes: S samples, M mel bands, T frames, N clips, K
classes.
"""

import dataclasses
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.audio.waveform import fit_waveform
from freqquest.cnn.abstention import DEFAULT_PRECISION, UNKNOWN, CoverageCurve, Point
from freqquest.cnn.earlier_cards import renew
from freqquest.cnn.network import Temperature
from freqquest.dataset.manifest import LABEL_SEPARATOR, Normalization
from freqquest.dataset.windows import WindowConfig
from freqquest.errors import UserError
from freqquest.runs.metrics import Settings
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

_CARD_NAME = "freqquest.json"
ALL_CLIPS = "all labeled clips"
"""Start of the description of training clips that include the validation clips."""
_MAX_COMPRESSED_BYTES = 2**24
"""Size up to which a part of a model file may be compressed by any factor."""
_CARD_VERSION = 4
"""Versions 2 and 3 are read too (`freqquest.cnn.earlier_cards`)."""
_OPTIONAL_FIELDS = ("thresholds", "background_label")
"""Fields of the card that are left out where they are None, so that an earlier freqquest reads it;
it refuses a file that has them, because it would use the model wrongly."""
_DECISIONS_NAME = "freqquest_decisions.json"
_DECISION_FIELDS = ("detection_thresholds", "coverage_curve")
"""A second part of the card, with fields that an earlier freqquest can do without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Description of a model, stored inside its file."""

    classes: list[str]
    clip: ClipConfig
    view: SpectrogramConfig
    most_frequent_class: str
    """Prediction for a clip that cannot be read."""
    cnn_config: Settings
    """`CnnConfig` of the networks."""
    num_members: int
    """Number of networks that are averaged."""
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
    version: int = _CARD_VERSION

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
    def sound_classes(self) -> list[str]:
        """The classes that can be an answer: all but the background."""
        return [label for label in self.classes if label != self.background_label]

    @property
    def probability_columns(self) -> list[str]:
        """Names of the columns with each class's probabilities, in tables of predictions."""
        return [f"probability_{label}" for label in self.classes]

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


def add_card(keras_file: bytes, card: ModelCard) -> bytes:
    """Add the card to a `.keras` file; Keras ignores it when loading."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(keras_file)
        with zipfile.ZipFile(path, "a") as archive:
            for name, part in _to_parts(card).items():
                archive.writestr(name, json.dumps(part))
        return path.read_bytes()


def _to_parts(card: ModelCard) -> dict[str, dict[str, object]]:
    """Return the JSON files of a card by name."""
    content = dataclasses.asdict(card)
    decisions = {name: content.pop(name) for name in _DECISION_FIELDS}
    for name in _OPTIONAL_FIELDS:
        if content[name] is None:
            del content[name]
    return {_CARD_NAME: content, _DECISIONS_NAME: decisions}


def read_card(model_file: Location, parameter: str = "model") -> ModelCard:
    """Read a model's card, without loading Keras.

    Args:
        model_file: File of the classifier.
        parameter: Name of the parameter that gave the path, for error messages.

    Raises:
        UserError: The file is missing, not a freqquest model, or of an unknown version.
    """
    if model_file.is_dir():
        raise UserError(f"`{parameter}={model_file}` is a folder: give the best_model.keras in it")
    if not model_file.is_file():
        raise UserError(
            f"`{parameter}={model_file}` does not exist: give the best_model.keras of a tune_cnn "
            "run"
        )
    try:
        with model_file.open() as stream, zipfile.ZipFile(stream) as archive:
            _refuse_bombs(archive)
            content = json.loads(archive.read(_CARD_NAME))
            if _DECISIONS_NAME in archive.namelist():
                content |= json.loads(archive.read(_DECISIONS_NAME))
        content = renew(content)
        if content["version"] != _CARD_VERSION:
            raise UserError(
                f"`{parameter}={model_file}` has model version {content['version']}, but this "
                f"freqquest reads 2 to {_CARD_VERSION}: run tune_cnn again, or use the freqquest "
                "that made it"
            )
        curve = content.get("coverage_curve")
        parts = {
            "coverage_curve": curve and CoverageCurve([Point(*each) for each in curve["points"]]),
            "clip": ClipConfig(**content["clip"]),
            "windows": WindowConfig(**content.get("windows", {})),
            "view": SpectrogramConfig(**content["view"]),
            "normalization": Normalization(**content["normalization"]),
        }
        return ModelCard(**content | parts)
    except UserError:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"`{parameter}={model_file}` is not a readable model file ({error}): give the "
            "best_model.keras of a tune_cnn run"
        ) from error


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    """Refuse parts that would take far more memory than the file: weights hardly compress."""
    for part in archive.infolist():
        if part.file_size > _MAX_COMPRESSED_BYTES + 10 * part.compress_size:
            raise ValueError(f"its part {part.filename} inflates to {part.file_size:,} bytes")


def load_model(model_file: Location) -> "keras.Model":
    """Load the network for inference.

    Raises:
        UserError: Keras cannot load the file, or refuses it for the code in it (safe mode).
    """
    from freqquest.cnn.frameworks import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model_file.read_bytes())
        try:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds
            problem = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{model_file} cannot be loaded ({problem}): give the best_model.keras of a "
                "tune_cnn run"
            ) from error


def to_bytes(model: "keras.Model") -> bytes:
    """Return a model as the bytes of a `.keras` file, without a card."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
