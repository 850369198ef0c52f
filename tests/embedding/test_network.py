import dataclasses
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr
from onnx import TensorProto

from freqquest.embedding.network import (
    EmbeddingNetwork,
    cached_network,
    read_again,
    read_network,
)
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.embedding.tiny_networks import vector_of, write_onnx

RATE_HZ = 1_000
WAVEFORM = np.random.default_rng(1).normal(0, 0.2, 2_400).astype(np.float32)
FORMATS = ["onnx", "tflite"]


def read(path, rate_hz=RATE_HZ, tensor=None):
    return read_network(locate(str(path)), rate_hz, tensor)


def embed(path, waveform=WAVEFORM, sample_rate_hz=RATE_HZ, **settings):
    return EmbeddingNetwork(*read(path, **settings)).embed(waveform, sample_rate_hz)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_network_of_fixed_length_gives_the_mean_of_its_windows(networks, file_format):
    path = networks / f"fixed.{file_format}"
    config, _ = read(path)
    assert (config.num_samples, config.num_values) == (800, 3)
    # Half of 800 samples is less than half a second.
    windows = [WAVEFORM[start : start + 800] for start in (0, 500, 1_000, 1_500)]
    vector = embed(path)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, np.mean([*map(vector_of, windows)], axis=0), atol=1e-6)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_network_of_any_length_gets_the_clip_whole(networks, file_format):
    path = networks / f"free.{file_format}"
    config, _ = read(path)
    assert (config.num_samples, config.num_values) == (None, 3)
    network = EmbeddingNetwork(*read(path))
    for length in (2_400, 300, 2_400):
        vector = network.embed(WAVEFORM[:length], RATE_HZ)
        np.testing.assert_allclose(vector, vector_of(WAVEFORM[:length]), atol=1e-6)


def test_long_windows_overlap_by_half(tmp_path):
    path = write_onnx(tmp_path / "long.onnx", 1_200)
    windows = [WAVEFORM[start : start + 1_200] for start in (0, 600, 1_200)]
    np.testing.assert_allclose(embed(path), np.mean([*map(vector_of, windows)], axis=0), atol=1e-6)


def test_a_clip_shorter_than_a_window_is_padded_with_silence(tmp_path):
    path = write_onnx(tmp_path / "short.onnx", 800)
    padded = np.append(WAVEFORM[:200], np.zeros(600, np.float32))
    np.testing.assert_allclose(embed(path, WAVEFORM[:200]), vector_of(padded), atol=1e-6)


def test_waveforms_are_resampled_to_the_networks_rate(tmp_path):
    path = write_onnx(tmp_path / "any.onnx")
    resampled = soxr.resample(WAVEFORM, 2_000, RATE_HZ, quality="HQ")
    assert len(resampled) == 1_200
    vector = embed(path, sample_rate_hz=2_000)
    np.testing.assert_allclose(vector, vector_of(resampled), atol=1e-6)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_inner_tensor_is_found_by_a_part_of_its_name(networks, file_format):
    path = networks / f"fixed.{file_format}"
    config, _ = read(path, tensor="squares")
    assert "squares" in config.tensor
    assert config.num_values == 800
    windows = [WAVEFORM[start : start + 800] for start in (0, 500, 1_000, 1_500)]
    squares = np.mean([np.square(window) for window in windows], axis=0)
    np.testing.assert_allclose(embed(path, tensor="squares"), squares, atol=1e-6)


@pytest.mark.parametrize("file_format", FORMATS)
def test_threads_may_share_a_network(networks, file_format):
    network = EmbeddingNetwork(*read(networks / f"free.{file_format}"))
    clips = [WAVEFORM[start : start + 400 + start] for start in range(0, 1_000, 10)]
    with ThreadPoolExecutor(4) as threads:
        vectors = list(threads.map(lambda clip: network.embed(clip, RATE_HZ), clips))
    np.testing.assert_allclose(vectors, [*map(vector_of, clips)], atol=1e-6)


def refused(path, **settings):
    with pytest.raises(UserError) as caught:
        read(path, **settings)
    return str(caught.value)


def test_a_file_that_is_no_network_is_refused(tmp_path, networks):
    (tmp_path / "a.pb").write_bytes(b"")
    assert "a.pb` must be a .tflite or .onnx file: convert it" in refused(tmp_path / "a.pb")
    for file_format in FORMATS:
        path = tmp_path / f"a.{file_format}"
        assert f"a.{file_format}` does not exist: give the file" in refused(path)
        path.write_bytes(b"no network")
        assert f"`embedding=a.{file_format}` cannot be loaded (" in refused(path)
        whole = (networks / f"fixed.{file_format}").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert f"`embedding=a.{file_format}` cannot be loaded (" in refused(path)


def test_the_rate_of_an_unknown_network_is_required(tmp_path):
    path = write_onnx(tmp_path / "a.onnx")
    assert "`embedding_rate` is missing: the file a.onnx does not tell" in refused(
        path, rate_hz=None
    )


def test_a_tensor_must_be_named_exactly_if_there_are_several(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", outputs=("vector", "negative"))
    problem = refused(path)
    assert "`embedding_tensor` is missing: a.onnx has several outputs, vector [1," in problem
    assert "negative [1," in problem
    assert read(path, tensor="negative")[0].tensor == "negative"
    problem = refused(path, tensor="nothing")
    assert "`embedding_tensor=nothing` is in no name of a tensor of a.onnx" in problem
    assert "its outputs are vector" in problem
    assert "`embedding_tensor=e` is in the names of " in refused(path, tensor="e")


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ({"inputs": ("waveform", "rate")}, "its inputs are waveform [1, any], rate [1, any]"),
        ({"kind": TensorProto.INT64}, "its inputs are waveform [1, any]"),
    ],
    ids=["two inputs", "integers"],
)
def test_networks_of_other_inputs_are_refused(shape, problem, tmp_path):
    found = refused(write_onnx(tmp_path / "a.onnx", **shape))
    assert "`embedding=a.onnx` must take one waveform of 32-bit floats" in found
    assert problem in found


def test_outputs_that_are_no_vectors_are_refused(tmp_path):
    constant = write_onnx(tmp_path / "a.onnx", gain=0.0)
    assert "`embedding_tensor=vector` gives no vector for two seconds" in refused(constant)
    scalar = write_onnx(tmp_path / "b.onnx", outputs=("power",))
    assert "`embedding_tensor=power` gives no vector for two seconds" in refused(scalar)


def test_a_network_that_fails_on_silence_is_refused(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", outputs=("levels",))
    assert "`embedding_tensor=levels` is infinite or NaN for silence" in refused(path)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    file_format, networks, monkeypatch
):
    config, _ = read(networks / f"free.{file_format}")
    monkeypatch.setattr("freqquest.embedding.runtime.find_spec", lambda name: None)
    package = {"onnx": "onnx, onnxruntime", "tflite": "ai_edge_litert"}[file_format]
    problem = refused(networks / f"free.{file_format}")
    assert f"needs packages that are not installed ({package}): pip install" in problem
    with pytest.raises(UserError, match="needs packages that are not installed"):
        read_again(config, locate(str(networks / f"free.{file_format}")))


def test_a_network_is_loaded_once_and_only_if_it_is_the_same(tmp_path):
    path = write_onnx(tmp_path / "a.onnx")
    config, _ = read(path)
    network = cached_network(config, locate(str(path)))
    assert cached_network(config, locate(str(path))) is network
    write_onnx(path, gain=2.0)
    with pytest.raises(UserError, match="a.onnx is not the network a.onnx: its SHA-256 differs"):
        cached_network(dataclasses.replace(config, num_values=4), locate(str(path)))
    path.unlink()
    assert cached_network(config, locate(str(path))) is network
    with pytest.raises(UserError, match="a.onnx, the network a.onnx, is missing: put it back"):
        read_again(config, locate(str(path)))


def test_a_network_is_read_from_the_archive_of_a_model(tmp_path):
    config, content = read(write_onnx(tmp_path / "a.onnx"))
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("embedding.onnx", content)
    assert read_again(config, locate(str(tmp_path / "model.keras"))) == content
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match="other.keras is not the network a.onnx"):
        read_again(config, locate(str(tmp_path / "other.keras")))
