"""The classifier for notebooks and services: predicts in this process, without Ray.

Keras is loaded by `Classifier.load`. Shapes: N clips, S samples, K classes.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from freqquest.cnn.devices import grow_gpu_memory
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.window_means import WindowMeans
from freqquest.dataset.clip_inputs import Analysis, join
from freqquest.dataset.load_clip import window_inputs
from freqquest.storage import locate

if TYPE_CHECKING:
    import keras

_BATCH = 64
"""Windows that are decoded before they are classified together."""


class Classifier:
    """A classifier trained by the tune stage.

    ```python
    classifier = Classifier.load("results/demo/best_model.keras")
    table = classifier.predict(["a.wav", "b.flac"])
    table = classifier.predict(waveforms, sample_rate_hz=44_100)
    ```
    """

    def __init__(
        self, model: "keras.Model", card: ModelCard, analysis: Analysis | None = None
    ) -> None:
        """Use a model that is in memory; `load` reads one from its file.

        Args:
            model: The model.
            card: Its card.
            analysis: Its analysis; may be left out without a pretrained network.
        """
        self._model, self.card = model, card
        self._analysis = analysis or Analysis(card.clip, card.view)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load the best_model.keras of a run from a path or a URI.

        Raises:
            UserError: The file is missing, not a freqquest model, of an unknown version, packages
                that run its pretrained network are missing, or this process has loaded Keras with
                another backend than TensorFlow.
        """
        model_file = locate(path)
        card = read_card(model_file, "path")
        grow_gpu_memory()
        return cls(load_model(model_file), card, card.analysis(model_file))

    @property
    def classes(self) -> list[str]:
        """Labels of the classes, in the order of the probability columns."""
        return self.card.classes

    def predict(
        self,
        clips: str | Path | np.ndarray | Sequence[str | Path | np.ndarray],
        *,
        sample_rate_hz: int | None = None,
        unknown: bool = False,
        precision: float | None = None,
    ) -> pd.DataFrame:
        """Classify audio files or waveforms, with the same probabilities as the predict job.

        Clips are mixed to mono, resampled, and padded or cut to the length that the classifier was
        trained on. If it was trained on several windows of each file, the probabilities of a
        file's windows are averaged.

        Args:
            clips: Paths or URIs of audio files (or a single one), or mono floating-point waveforms
                with full scale 1.0: `[N, S]`, `[S]`, or a list of `[S]` of any lengths.
            sample_rate_hz: Sample rate of the waveforms; files have their own.
            unknown: Label clips `unknown` whose probability is too low for `precision`, or that are
                taken for background; of several labels, those that reach no class's threshold.
            precision: Share of the answers that is to be right, on clips like the held-out ones on
                which the classifier was measured. Default with `unknown`: 0.95.

        Returns:
            One row per clip, in the order given: `label` (the most probable class but the
            background), its `probability`, and `probability_<class>` for each class. If clips have
            several labels, `label` joins those whose probability reaches its threshold by
            semicolons (or is the class that comes closest), and `probability` is the highest of
            theirs. Files also have
            `path` and `reason`, which says why a file could not be read and is empty otherwise. The
            label of an unreadable file is missing, and its probabilities are NaN.

        Raises:
            UserError: The classifier does not reach the precision on held-out clips, or cannot tell
                unknown clips.
            ValueError: `sample_rate_hz` is missing for waveforms or given for files, `precision` is
                given without `unknown`, or a waveform is not mono, not floating-point, empty, or
                has NaN or infinite samples.
            OSError: The storage fails, or a file's folder does not exist.
        """
        if isinstance(clips, str | os.PathLike):
            clips = [clips]
        elif isinstance(clips, np.ndarray) and clips.ndim == 1 and clips.dtype.kind not in "OSUT":
            clips = clips[None]
        if precision is not None and not unknown:
            raise ValueError(
                "`precision` needs `unknown=True`: without it, every clip gets an answer"
            )
        if precision is not None and not 0 < precision <= 1:
            raise ValueError(f"`precision={precision:g}` must be above 0 and at most 1")
        unknown_below = self.card.unknown_below(precision) if unknown else None
        paths = [os.fspath(clip) for clip in clips if isinstance(clip, str | os.PathLike)]
        if sample_rate_hz is None:
            if len(paths) < len(clips):
                raise ValueError("waveforms need `sample_rate_hz`, the rate of their samples")
            return self._predict_files(paths, unknown_below)
        if paths:
            raise ValueError("audio files have their own rate: leave out `sample_rate_hz`")
        waveforms = [np.asarray(clip) for clip in clips]
        return self._predict_waveforms(waveforms, sample_rate_hz, unknown_below)

    def _predict_files(self, paths: list[str], unknown_below: float | None) -> pd.DataFrame:
        reasons = [""] * len(paths)
        means = WindowMeans(len(paths), len(self.classes))
        stream = window_inputs(paths, self._analysis, self.card.windows)
        while batch := list(itertools.islice(stream, _BATCH)):
            rows, inputs, problems = zip(*batch, strict=True)
            means.add(np.array(rows), predict_probabilities(self._model, join(inputs)))
            for row, problem in zip(rows, problems, strict=True):
                reasons[row] = problem or reasons[row]
        is_unreadable = np.array(reasons, object) != ""
        probabilities = np.where(is_unreadable[:, None], np.nan, means.means())
        table = self._table(probabilities, unknown_below)
        table.insert(0, "path", paths)
        table.insert(3, "reason", reasons)
        return table

    def _predict_waveforms(
        self, waveforms: list[np.ndarray], sample_rate_hz: int, unknown_below: float | None
    ) -> pd.DataFrame:
        for number, waveform in enumerate(waveforms):
            _require_usable(waveform, number)
        probabilities = self._no_probabilities(len(waveforms))
        for start in range(0, len(waveforms), _BATCH):
            batch = waveforms[start : start + _BATCH]
            inputs = join(
                self._analysis.fit(waveform.astype(np.float32), sample_rate_hz)
                for waveform in batch
            )
            probabilities[start : start + _BATCH] = predict_probabilities(self._model, inputs)
        return self._table(probabilities, unknown_below)

    def _no_probabilities(self, num_clips: int) -> np.ndarray:
        return np.full((num_clips, len(self.classes)), np.nan, np.float32)

    def _table(self, probabilities: np.ndarray, unknown_below: float | None) -> pd.DataFrame:
        labels, of_labels = self.card.predict(probabilities, unknown_below)
        labels[np.isnan(probabilities[:, 0])] = None
        table = pd.DataFrame(probabilities, columns=self.card.probability_columns)
        table.insert(0, "label", labels)
        table.insert(1, "probability", of_labels)
        return table


def _require_usable(waveform: np.ndarray, number: int) -> None:
    """Refuse what is not a mono floating-point waveform with finite samples."""
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(
            f"waveform {number} has shape {waveform.shape}, but must be mono, [S], with at least "
            "one sample"
        )
    if waveform.dtype.kind != "f":
        raise ValueError(
            f"waveform {number} has dtype {waveform.dtype}, but must be floating-point with full "
            "scale 1.0: divide integer samples by their largest value"
        )
    if not np.isfinite(waveform).all():
        raise ValueError(f"waveform {number} has NaN or infinite samples: remove them")
