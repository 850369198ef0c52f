from dataclasses import replace

from freqquest.embedding.config import EmbeddingConfig

CONFIG = EmbeddingConfig(
    name="a.onnx", sha256="0", sample_rate_hz=16_000, tensor="x", num_samples=None, num_values=3
)


def test_the_name_of_its_copy_tells_the_format():
    assert CONFIG.file_name == "embedding.onnx"
    assert replace(CONFIG, name="b.tflite").file_name == "embedding.tflite"


def test_networks_differ_by_their_file_rate_and_tensor_and_not_by_their_name():
    assert replace(CONFIG, name="b.onnx").identity == CONFIG.identity
    for changes in ({"sha256": "1"}, {"sample_rate_hz": 8_000}, {"tensor": "y"}):
        assert replace(CONFIG, **changes).identity != CONFIG.identity
