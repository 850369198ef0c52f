import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from freqquest.cnn.config import PRESETS
from freqquest.cnn.devices import Device
from freqquest.cnn.frameworks import choose_backend
from freqquest.cnn.model_file import load_model, to_bytes
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.dataset.clip_inputs import Inputs
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import CLIP_NORMALIZATION, make_clips, train_easily


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_keras_computes_with_the_chosen_backend_and_the_environment_stays(backend):
    choice = f"frameworks.choose_backend({backend!r})" if backend == "torch" else ""
    code = (
        f"import os; from freqquest.cnn import frameworks\n{choice}\n"
        "print(frameworks.keras.config.backend(), os.environ.get('KERAS_BACKEND'))"
    )
    env = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{backend} jax\n"


def test_keras_with_another_backend_is_refused_with_the_fix(monkeypatch):
    loaded = SimpleNamespace(config=SimpleNamespace(backend=lambda: "torch"))
    monkeypatch.setitem(sys.modules, "keras", loaded)
    with pytest.raises(UserError, match="backend torch .* needs tensorflow: use another process"):
        from freqquest.cnn.frameworks import keras  # noqa: F401
    loaded.config.backend = lambda: "tensorflow"
    with pytest.raises(UserError, match="tensorflow .* needs torch: .*KERAS_BACKEND=torch before"):
        choose_backend("torch")


NETWORKS = {
    "default": replace(PRESETS["default"], num_filters=4),
    "reference": replace(PRESETS["reference"], num_filters=4),
    # Sides that are odd in a strided block, and each other kind of layer.
    "odd": replace(
        PRESETS["default"],
        num_filters=2,
        num_blocks=4,
        normalization="band",
        pooling="average_max",
        dense_units=8,
        block_dropout=0.1,
        input_pooling=1,
    ),
}


def random_network(config):
    """Return a network whose predictions differ between clips, and running statistics as well."""
    import keras

    keras.utils.set_random_seed(0)
    model = build_model(config, 3, (128, 173), CLIP_NORMALIZATION)
    rng = np.random.default_rng(0)
    scale = 1 if config.normalization == "none" else 2  # its inputs are far from zero
    model.set_weights(
        [
            weights + rng.uniform(0, 0.2, weights.shape) if weights.ndim == 1 else scale * weights
            for weights in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def on_torch(tmp_path_factory):
    """The folder and the report of a process that worked with Keras on torch."""
    folder = tmp_path_factory.mktemp("torch")
    clips = np.random.default_rng(0).uniform(-80, -40, (6, 128, 173)).astype(np.float32)
    for number, clip in enumerate(clips):
        clip[:: number + 2] += 40
    np.save(folder / "clips.npy", clips)
    for name, config in NETWORKS.items():
        model = random_network(config)
        (folder / f"{name}_before.keras").write_bytes(to_bytes(model))
        np.save(folder / f"{name}_on_tensorflow.npy", predict_probabilities(model, Inputs(clips)))
    subprocess.run(
        [sys.executable, "-m", "tests.cnn.on_torch", str(folder)],
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    return folder, json.loads((folder / "report.json").read_text())


def test_a_trial_on_torch_loads_no_tensorflow(on_torch):
    folder, report = on_torch
    assert list(folder.glob("logs/events*"))
    assert {"keras", "torch"} <= set(report["modules"])
    assert "tensorflow" not in report["modules"]


@pytest.mark.parametrize("name", NETWORKS)
def test_both_backends_predict_the_same_from_one_file(on_torch, name):
    folder, _ = on_torch
    expected = np.load(folder / f"{name}_on_tensorflow.npy")
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(np.load(folder / f"{name}_on_torch.npy"), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["trained", "mixed"])
def test_a_network_trained_on_torch_predicts_the_same_on_tensorflow_in_float32(on_torch, name):
    folder, _ = on_torch
    model = load_model(locate(folder / f"{name}.keras"))
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    probabilities = predict_probabilities(model, Inputs(make_clips().spectrograms))
    np.testing.assert_allclose(probabilities, np.load(folder / f"{name}.npy"), atol=1e-4)


def test_the_same_seed_trains_the_same_model_on_torch(on_torch):
    _, report = on_torch
    assert report["difference_when_repeated"] < 1e-3


def test_a_training_that_goes_on_on_torch_is_that_without_an_interruption(on_torch):
    _, report = on_torch
    assert report["difference_when_continued"] < 1e-3
    assert report["difference_when_continued_mixed"] < 1e-3


def test_both_backends_train_as_well(on_torch):
    _, report = on_torch
    runs = [train_easily(Device(), seed)[1] for seed in range(2)]
    accuracies = [epochs[-1]["validation/accuracy"] for epochs in runs]
    assert min(accuracies) >= 0.75
    assert min(report["accuracies"]) >= 0.75
    assert report["mixed_accuracy"] >= 0.75
    losses = [epochs[-1]["train/loss"] for epochs in runs]
    assert report["loss"] == pytest.approx(np.mean(losses), abs=0.2)
