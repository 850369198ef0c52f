"""The process of the judges: a classifier, and the pretrained network of the dataset.

No Ray. Shapes: N clips, S samples, K classes, D values of a vector.
"""

import numpy as np

from freqquest.audio.waveform import fit_waveform
from freqquest.cnn.heads import Head, fit_vectors
from freqquest.cnn.judge import Judge
from freqquest.dataset.clip_inputs import Inputs, dataset_analysis
from freqquest.dataset.manifest import Manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import Location

_MAX_CLIPS = 4_000
"""Training clips that the head is fitted to, at most: it must not delay the judge for minutes."""


class Judges:
    """The actor: the methods of `Judge`, with the judge's number as first argument."""

    def __init__(
        self, model_file: Location, classes: list[str], embedded: tuple[Location, Manifest] | None
    ) -> None:
        """Load the judges.

        Args:
            model_file: The model of the first one.
            classes: Classes, which set the order of its probabilities.
            embedded: Dataset of the second one, and its manifest; None if there is no second one.
        """
        self._judges: list[Judge | EmbeddingJudge] = [Judge(model_file, classes)]
        if embedded is not None:
            self._judges.append(EmbeddingJudge(*embedded))

    def classify_waveforms(
        self, number: int, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities and the features of waveforms."""
        return self._judges[number].classify_waveforms(waveforms, sample_rate_hz)

    def classify_inputs(self, number: int, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities and the features of clips of the dataset."""
        return self._judges[number].classify_inputs(inputs)


class EmbeddingJudge:
    """A judge that hears by a network trained elsewhere, with a head fitted to the dataset."""

    def __init__(self, dataset: Location, manifest: Manifest) -> None:
        """Fit the head to the training split of a dataset with an embedding.

        Raises:
            UserError: A shard is corrupt.
        """
        self._analysis = dataset_analysis(dataset, manifest)
        self._head = _fit(dataset, manifest)

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities `[N, K]` of finite waveforms `[N, S]`, and their vectors `[N, D]`.

        Raises:
            UserError: The pretrained network is missing or is another one, or its runtime is not
                installed.
        """
        clip = self._analysis.clip
        vectors = self._analysis.vectors(
            [fit_waveform(each, sample_rate_hz, clip) for each in waveforms.astype(np.float32)]
        )
        assert vectors is not None
        return self._head.probabilities(vectors), vectors

    def classify_inputs(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the same of clips of the dataset, of which only the vectors are used."""
        assert inputs.vectors is not None
        return self._head.probabilities(inputs.vectors), inputs.vectors


def _fit(dataset: Location, manifest: Manifest) -> Head:
    parts, num_clips = [], 0
    for shard in SplitReader(dataset, manifest, "train", "cnn").shards():
        parts.append((shard.vectors, shard.labels, shard.recordings))
        num_clips += len(shard.labels)
        if num_clips >= _MAX_CLIPS:
            break
    vectors, labels, recordings = (np.concatenate(each) for each in zip(*parts, strict=True))
    return fit_vectors(
        vectors,
        labels,
        recordings,
        has_several_labels=manifest.has_several_labels,
    )
