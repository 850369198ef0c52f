import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.dataset.load_clip import open_clip
from freqquest.embedding.network import EmbeddingNetwork, read_network
from freqquest.storage import locate

CLASSES = ("dog_bark", "siren")
CLIPS_PER_CLASS = 8


@pytest.fixture(scope="module")
def yamnet(real_data):
    path = real_data.parent / "models" / "yamnet.tflite"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    return EmbeddingNetwork(*read_network(locate(str(path))))


def clips_of(real_data, label):
    """Return clips of a class, each of another recording."""
    paths = sorted((real_data / "train" / label).glob("*"))
    of_recordings = {path.name.split("-")[0]: path for path in paths}
    return [str(path) for path in of_recordings.values()][:CLIPS_PER_CLASS]


def test_yamnet_needs_no_settings(yamnet):
    assert yamnet.config.sample_rate_hz == 16_000
    assert yamnet.config.num_samples == 15_600
    assert yamnet.config.num_values == 1_024
    assert "global_average_pooling2d/Mean" in yamnet.config.tensor


def test_vectors_of_yamnet_tell_two_classes_of_other_recordings_apart(yamnet, real_data):
    vectors = np.array(
        [
            [yamnet.embed(open_clip(path, ClipConfig()).waveform, 22_050) for path in paths]
            for paths in (clips_of(real_data, label) for label in CLASSES)
        ]
    )
    assert vectors.shape == (2, CLIPS_PER_CLASS, 1_024)
    half = CLIPS_PER_CLASS // 2
    centroids = vectors[:, :half].mean(axis=1)
    distances = np.linalg.norm(vectors[:, half:, None] - centroids, axis=-1)
    are_right = distances.argmin(axis=-1) == [[0], [1]]
    assert are_right.mean() >= 0.75
