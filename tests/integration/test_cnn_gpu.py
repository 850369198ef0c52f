"""The classifier's jobs where only torch finds a GPU; here that is one in name, on CPU cores."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from freqquest.cnn.classifier import Classifier
from freqquest.cnn.model_file import read_card
from freqquest.storage import locate
from tests.integration.conftest import ROOT

CODE = """
import sys
from unittest import mock
from freqquest.cluster.connection import prepare_environment

prepare_environment()
import ray
from freqquest.cnn.predict import check_request, predict_submission
from freqquest.cnn.predict_config import PredictConfig
from freqquest.cnn.tune import tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from tests.integration.conftest import smaller_networks

dataset_dir, audio_dir, folder = sys.argv[1:]
ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, logging_level="ERROR")
search = TuneConfig(
    dataset_dir=dataset_dir,
    run_dir=f"{folder}/run",
    num_trials=1,
    max_epochs=1,
    num_members=2,
    use_gpu=True,
    mixed_precision=True,
)
prediction = PredictConfig(
    model=f"{folder}/run/best_model.keras",
    audio_dir=audio_dir,
    output=f"{folder}/submission.csv",
    probabilities=True,
    use_gpu=True,
)
with (
    smaller_networks(),
    mock.patch("freqquest.cnn.tune.find_gpu_backend", lambda: "torch"),
    mock.patch("freqquest.cnn.predict.find_gpu_backend", lambda: "torch"),
):
    tune_cnn(search)
    predict_submission(prediction, check_request(prediction))
ray.shutdown()
"""


@pytest.mark.slow
def test_a_search_and_a_submission_on_torch_give_a_model_for_tensorflow(
    dataset_dir, audio_dir, tmp_path
):
    subprocess.run(
        [sys.executable, "-c", CODE, str(dataset_dir), str(audio_dir), str(tmp_path)],
        check=True,
        cwd=ROOT,
    )
    trials = pd.read_csv(tmp_path / "run" / "trials.csv")
    assert set(trials["state"]) == {"finished"}
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["cnn"]
    assert settings["mixed_precision"] is True
    model = locate(tmp_path / "run" / "best_model.keras")
    card = read_card(model)
    assert card.num_members == 2
    submission = pd.read_csv(tmp_path / "submission.csv")
    paths = [str(audio_dir / clip_id) for clip_id in submission["ID"]]
    expected = Classifier.load(model.path).predict(paths)[card.probability_columns]
    np.testing.assert_allclose(submission[card.probability_columns], expected, atol=1e-4)
