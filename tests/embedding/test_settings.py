import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.embedding.settings import EmbeddingSettings


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"embedding_rate": 16_000}, "`embedding_rate` needs `embedding`, the network"),
        ({"embedding_tensor": "x"}, "`embedding_tensor` needs `embedding`, the network"),
        (
            {"embedding": "a.onnx", "embedding_rate": 16},
            "`embedding_rate=16` must be between 1000 and 768000 Hz",
        ),
    ],
)
def test_settings_without_a_network_or_out_of_range_are_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        EmbeddingSettings(**settings)
    with pytest.raises(ValueError, match=problem):
        PreprocessConfig(audio_dir="unused", dataset_dir="unused", **settings)
