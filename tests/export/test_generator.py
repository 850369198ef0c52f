"""Generators as ONNX files, in ONNX Runtime."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from freqquest.cgan.generator_file import generator_bytes
from freqquest.errors import UserError
from freqquest.export.config import ExportConfig
from freqquest.export.generator import export_generator
from freqquest.export.runtimes import load
from freqquest.storage import locate
from tests.cgan.conftest import card, loud_weights


@pytest.fixture(params=["reference", "default"])
def generator(request, tmp_path):
    file = locate(tmp_path / "generator.safetensors")
    gains_db = [1.0, -2.0] if request.param == "default" else None
    about = dataclasses.replace(card(request.param), gains_db=gains_db)
    file.write_bytes(generator_bytes(loud_weights(request.param), about))
    return file


def test_an_exported_generator_gives_the_same_spectrograms_for_any_number(generator, tmp_path):
    import torch

    from freqquest.cgan.generator_file import load_generator

    config = ExportConfig(model=str(generator), format="onnx", output="unused")
    report = export_generator(config, generator, tmp_path / "model")
    assert report.measurements[1].largest_difference < 1e-3
    assert report.unit == "dB"
    trained = load_generator(generator, "model")
    noise = np.random.default_rng(1).normal(size=(3, trained.card.cgan_config.noise_dim))
    inputs = {"noise": noise.astype(np.float32), "label": np.array([1, 0, 1])}
    wanted = trained.spectrograms(*map(torch.from_numpy, inputs.values())).numpy()
    assert np.ptp(wanted) > 1
    given = load("onnx", tmp_path / "model")(**inputs)
    np.testing.assert_allclose(given, wanted, atol=1e-3 / (10 / np.log(10)))
    (entry,) = onnx.load(tmp_path / "model").metadata_props
    about = json.loads(entry.value)
    assert about["classes"] == ["bark", "siren"]
    assert (about["noise_dim"], about["sample_rate_hz"]) == (noise.shape[1], 22_050)
    assert about["audible_frames"] == trained.card.scale.audible_frames
    assert about["needs_rotation"] == (trained.card.preset == "default")


def test_what_only_classifiers_have_is_refused(tmp_path):
    file, paths = locate(tmp_path / "g"), {"model": "g", "output": "o"}
    with pytest.raises(UserError, match="`format=litert` needs a classifier, .* use `format=onnx`"):
        export_generator(ExportConfig(format="litert", **paths), file, tmp_path / "model")
    config = ExportConfig(format="onnx", dataset_dir="d", **paths)
    with pytest.raises(UserError, match="`dataset_dir` needs a classifier, .*: leave it out"):
        export_generator(config, file, tmp_path / "model")
