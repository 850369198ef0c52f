"""Runtimes of exported files: missing packages, and machines that have nothing else."""

import subprocess
import sys

import numpy as np
import pytest

from freqquest.cnn.model_file import load_model, read_card
from freqquest.errors import UserError
from freqquest.export import runtimes
from freqquest.export.classifier_graph import write_classifier
from tests.export.conftest import probabilities, waveforms


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None if name == "tf2onnx" else name)
    runtimes.require_packages("litert", "tf2onnx")
    runtimes.require_packages("onnx", "onnxscript")
    with pytest.raises(UserError) as refusal:
        runtimes.require_packages("onnx", "tf2onnx")
    assert str(refusal.value) == (
        "`format=onnx` needs packages that are not installed (tf2onnx): pip install "
        "'freqquest[export]' (in a checkout: .venv/bin/pip install -e '.[export]')"
    )


SCRIPTS = {
    "onnx": """
import json, sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model")
about = json.loads(session.get_modelmeta().custom_metadata_map["freqquest"])
clips = np.load("clips.npy")
assert clips.shape[1] == about["num_samples"]
(probabilities,) = session.run(None, {"waveform": clips})
""",
    "litert": """
import json, sys, zipfile
import numpy as np
from ai_edge_litert.interpreter import Interpreter

about = json.loads(zipfile.ZipFile("model").read("freqquest.json"))
clips = np.load("clips.npy")
assert clips.shape[1] == about["num_samples"]
run = Interpreter("model").get_signature_runner()
probabilities = run(waveform=clips)["probabilities"]
""",
}
ENDING = """
assert probabilities.shape[1] == len(about["classes"])
assert not {"freqquest", "tensorflow", "keras", "onnx", "torch"} & set(sys.modules)
np.save("probabilities.npy", probabilities)
"""
PACKAGES = {"onnx": "onnxruntime", "litert": "ai-edge-litert"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_machine_with_the_runtime_alone_gives_the_same_probabilities(kind, short_model, tmp_path):
    python = clean_python(tmp_path, PACKAGES[kind])
    card = read_card(short_model)
    write_classifier(load_model(short_model), card, kind, tmp_path / "model")
    np.save(tmp_path / "clips.npy", waveforms(card))
    (tmp_path / "script.py").write_text(SCRIPTS[kind] + ENDING)
    done = subprocess.run([python, "-I", "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given = np.load(tmp_path / "probabilities.npy")
    wanted = probabilities(short_model, card, waveforms(card))
    np.testing.assert_allclose(given, wanted, atol=1e-3)


def clean_python(folder, package):
    """Return the Python of a new environment that has a runtime and what that needs."""
    from importlib.metadata import version

    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", f"{package}=={version(package)}"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode and "connection" in done.stderr.lower():
        pytest.skip(f"no network: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return python
