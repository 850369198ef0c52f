"""The vectors of a shard's clips, collected clip by clip. NumPy, pyarrow, the network's runtime.

Shapes: N clips, S samples, D values of a vector.
"""

import numpy as np
import pyarrow as pa

from freqquest.audio.clip import ClipConfig
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.network import cached_network
from freqquest.storage import Location


class CollectedVectors:
    """The vectors of a shard, with the interface of `CollectedView`."""

    def __init__(self, embedding: EmbeddingConfig, dataset: Location, clip: ClipConfig) -> None:
        """Prepare to collect vectors of a pretrained network, whose file is in the dataset."""
        self._embedding, self._file = embedding, dataset / embedding.file_name
        self._sample_rate_hz = clip.sample_rate_hz
        self._vectors: list[np.ndarray] = []

    def add(self, waveform: np.ndarray) -> None:
        """Compute and keep the vector of a waveform `[S]`."""
        network = cached_network(self._embedding, self._file)
        self._vectors.append(network.embed(waveform, self._sample_rate_hz))

    def to_arrow(self) -> pa.FixedSizeListArray:
        """Return the column of vectors, `[D]` each, float32."""
        values = pa.array(np.concatenate(self._vectors), pa.float32())
        return pa.FixedSizeListArray.from_arrays(values, self._embedding.num_values)
