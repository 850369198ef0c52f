import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from freqquest.cgan.real_clips import RealClips, embedding_space
from freqquest.cgan.realism import measure_realism
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.known import KNOWN
from tests.cgan.test_realism import CLASSES, clips


def network(sha256="0"):
    return EmbeddingConfig(
        name="some.onnx",
        sha256=sha256,
        sample_rate_hz=16_000,
        tensor="vector",
        num_samples=None,
        num_values=60,
    )


def kernel_audio_distance(reference, generated):
    """Return the kernel audio distance as Chung et al. define it, with their factor of 100."""
    width = np.median(pdist(reference))

    def kernel(a, b):
        return np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))

    m, n = len(reference), len(generated)
    within_reference = (kernel(reference, reference).sum() - m) / (m * (m - 1))
    within_generated = (kernel(generated, generated).sum() - n) / (n * (n - 1))
    return 100 * (within_reference + within_generated - 2 * kernel(reference, generated).mean())


def test_a_space_is_noted_by_the_networks_title_or_file():
    (sha256,) = KNOWN
    assert embedding_space(network(sha256)).note.startswith(
        "by YAMNet (Google, trained on AudioSet):"
    )
    assert embedding_space(network()).note.startswith("by some.onnx: 100 x kernel compares with")


def test_the_kernel_distance_of_an_embedding_is_that_of_all_values_as_others_measure_it():
    held_out, generated = clips(40, seed=1), clips(16, seed=3, shift=0.1)
    real = RealClips(held_out, clips(100, seed=2), CLASSES, embedding_space(network()))
    assert real.held_out.coordinates.shape == held_out.features.shape
    metrics = measure_realism(generated, real)
    expected = kernel_audio_distance(held_out.features, generated.features)
    assert 100 * metrics.overall["kernel"] == pytest.approx(expected, rel=1e-4)
    assert "frechet" not in metrics.overall | metrics.by_class["siren"]
    assert set(metrics.overall) == set(metrics.by_class["siren"])


def test_one_held_out_clip_gives_finite_metrics_in_an_embedding():
    one = clips(1, seed=1)
    few = RealClips(one, clips(5, seed=2), CLASSES, embedding_space(network()))
    values = measure_realism(clips(5, seed=3), few).overall.values()
    assert all(np.isfinite(value) for value in values if value is not None)
