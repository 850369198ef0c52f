"""Classifiers of several kinds in each format, in the format's own runtime."""

import json
import zipfile

import numpy as np
import onnx
import pytest

from freqquest.cnn.model_file import load_model, read_card
from freqquest.export.classifier_graph import write_classifier
from freqquest.export.runtimes import load
from freqquest.storage import locate
from tests.export.conftest import CLASSES, RECIPE, SHORT, probabilities, waveforms, write_model

FORMATS = ["onnx", "litert", "saved_model"]
KINDS = {
    "of two members": {"num_members": 2, "clip": RECIPE},
    "of several labels and a background": {
        "several": True,
        "clip": SHORT,
        "background_label": "noise",
    },
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return write_model(locate(folder / "best_model.keras"), **KINDS[request.param])


@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_classifier_agrees_for_any_number_of_clips(model, kind, tmp_path):
    card = read_card(model)
    write_classifier(load_model(model), card, kind, tmp_path / "model")
    run, clips = load(kind, tmp_path / "model"), waveforms(card)
    wanted = probabilities(model, card, clips)
    assert np.ptp(wanted, axis=0).max() > 0.1, "the clips differ"
    np.testing.assert_allclose(run(waveform=clips), wanted, atol=1e-3)
    np.testing.assert_allclose(run(waveform=clips[:1]), wanted[:1], atol=1e-3)
    description = read_description(kind, tmp_path / "model")
    assert description["classes"] == CLASSES
    assert description["sample_rate_hz"] == card.clip.sample_rate_hz
    assert description["num_samples"] == clips.shape[1]
    assert description["background_label"] == card.background_label
    assert description["thresholds"] == card.thresholds
    assert description["temperature"] == card.temperature


def read_description(kind, path):
    if kind == "onnx":
        (entry,) = onnx.load(path).metadata_props
        assert entry.key == "freqquest"
        return json.loads(entry.value)
    if kind == "litert":
        with zipfile.ZipFile(path) as archive:
            assert archive.read("labels.txt").decode().split() == CLASSES
            return json.loads(archive.read("freqquest.json"))
    return json.loads((path / "assets.extra" / "freqquest.json").read_text())


def test_an_onnx_file_is_small_and_of_standard_operators_that_name_their_inputs(
    short_model, tmp_path
):
    write_classifier(load_model(short_model), read_card(short_model), "onnx", tmp_path / "model")
    model = onnx.load(tmp_path / "model")
    assert {domain.domain for domain in model.opset_import} <= {"", "ai.onnx.ml"}
    assert {node.domain for node in model.graph.node} == {""}
    (waveform,), (output,) = model.graph.input, model.graph.output
    assert (waveform.name, output.name) == ("waveform", "probabilities")
    assert waveform.type.tensor_type.shape.dim[0].dim_param == "N"
    assert (tmp_path / "model").stat().st_size < 500_000, "no matrix of a whole window"
