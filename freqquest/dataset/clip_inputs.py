"""Spectrograms of clips, and their vectors by a pretrained network: the inputs of classifiers.

NumPy and the network's runtime; no Ray. Shapes: N clips, S samples, M mel bands, T frames, D values
of a vector.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.audio.waveform import fit_waveform
from freqquest.dataset.manifest import Manifest
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.network import cached_network
from freqquest.storage import Location


class Inputs(NamedTuple):
    """Clips as classifiers get them."""

    spectrograms: np.ndarray
    """`[N, M, T]`."""
    vectors: np.ndarray | None = None
    """`[N, D]`, float32; None without a pretrained network."""


def join(inputs: Iterable[Inputs]) -> Inputs:
    """Concatenate the inputs of several clips."""
    spectrograms, vectors = zip(*inputs, strict=True)
    if vectors[0] is None:
        return Inputs(np.concatenate(spectrograms))
    return Inputs(np.concatenate(spectrograms), np.concatenate(vectors))


@dataclass(frozen=True)
class Analysis:
    """Settings that turn waveforms into inputs of a classifier."""

    clip: ClipConfig
    """Format of the waveforms."""

    view: SpectrogramConfig
    """Settings of the spectrograms."""

    embedding: EmbeddingConfig | None = None
    """Pretrained network of the vectors, if there is one."""

    network_file: Location | None = None
    """File of the pretrained network, or a model file that holds it."""

    def fit(self, waveform: np.ndarray, sample_rate_hz: int) -> Inputs:
        """Return the inputs of a mono waveform `[S]` of any rate, padded or cut to length.

        Raises:
            UserError: As `analyze` does.
        """
        return self.analyze(fit_waveform(waveform, sample_rate_hz, self.clip))

    def analyze(self, waveform: np.ndarray) -> Inputs:
        """Return the inputs of one clip, N = 1.

        Args:
            waveform: `[S]`, in the format of `clip`.

        Raises:
            UserError: The pretrained network is missing or is another one, or its runtime is not
                installed.
        """
        spectrograms = log_mel(waveform, self.view, self.clip.sample_rate_hz)[None]
        return Inputs(spectrograms, self.vectors([waveform]))

    def vectors(self, waveforms: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return the vectors of some clips, given as for `analyze`; None without a network."""
        if self.embedding is None:
            return None
        assert self.network_file is not None
        network = cached_network(self.embedding, self.network_file)
        return np.stack([network.embed(each, self.clip.sample_rate_hz) for each in waveforms])

    def zeros(self, num_clips: int = 1) -> Inputs:
        """Return inputs of zeros, for clips that cannot be read."""
        sides = (num_clips, self.view.num_mels, self.view.num_frames)
        spectrograms = np.zeros(sides, np.float32)
        if self.embedding is None:
            return Inputs(spectrograms)
        return Inputs(spectrograms, np.zeros((num_clips, self.embedding.num_values), np.float32))


def dataset_analysis(dataset: Location, manifest: Manifest) -> Analysis:
    """Return the analysis that gives other clips the inputs of a dataset's clips."""
    embedding = manifest.embedding
    return Analysis(
        clip=manifest.clip,
        view=manifest.views["cnn"],
        embedding=embedding,
        network_file=None if embedding is None else dataset / embedding.file_name,
    )
