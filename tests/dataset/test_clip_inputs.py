import numpy as np
import pytest

from freqquest.audio.spectrogram import log_mel
from freqquest.dataset.clip_inputs import Analysis, Inputs, dataset_analysis, join
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.views import RECIPE_CLIP as CLIP
from freqquest.dataset.views import RECIPE_VIEWS
from freqquest.embedding.network import EmbeddingNetwork, read_network
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.embedding.tiny_networks import write_onnx

VIEW = RECIPE_VIEWS["cnn"]


@pytest.fixture
def analysis(tmp_path):
    file = locate(str(write_onnx(tmp_path / "a.onnx", 8_000)))
    config, _ = read_network(file, 16_000)
    return Analysis(CLIP, VIEW, config, file)


def test_a_clip_has_a_spectrogram_and_the_vector_of_the_network(analysis):
    waveform = tone(300.0)
    inputs = analysis.analyze(waveform)
    np.testing.assert_array_equal(inputs.spectrograms, log_mel(waveform, VIEW, RATE_HZ)[None])
    network = EmbeddingNetwork(analysis.embedding, analysis.network_file.read_bytes())
    np.testing.assert_array_equal(inputs.vectors, network.embed(waveform, RATE_HZ)[None])
    assert inputs.vectors.shape == (1, 3)


def test_without_a_network_there_are_no_vectors():
    analysis = Analysis(CLIP, VIEW)
    assert analysis.analyze(tone(300.0)).vectors is None
    assert analysis.zeros(2).vectors is None


def test_zeros_have_the_shapes_and_types_of_inputs(analysis):
    zeros, inputs = analysis.zeros(), analysis.analyze(tone(300.0))
    for values, expected in zip(zeros, inputs, strict=True):
        assert (values.shape, values.dtype) == (expected.shape, expected.dtype)
        assert not values.any()
    assert analysis.zeros(3).vectors.shape == (3, 3)


def test_inputs_are_joined_in_their_order():
    parts = [Inputs(np.full((n, 2, 3), n), np.full((n, 4), n)) for n in (1, 2)]
    joined = join(parts)
    assert joined.spectrograms[:, 0, 0].tolist() == joined.vectors[:, 0].tolist() == [1, 2, 2]
    assert join([Inputs(part.spectrograms) for part in parts]).vectors is None


def test_the_analysis_of_a_dataset_has_its_network(embedded_dataset_dir):
    dataset = locate(str(embedded_dataset_dir))
    manifest = load_manifest(dataset)
    analysis = dataset_analysis(dataset, manifest)
    assert analysis.embedding == manifest.embedding
    assert analysis.network_file.name == "embedding.onnx"
    assert analysis.network_file.is_file()
