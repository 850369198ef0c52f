import os
import sys
from pathlib import Path

import pytest

from freqquest.cgan.config import TrainConfig
from freqquest.cgan.train import train_cgan
from freqquest.cnn.tune import tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.errors import UserError
from freqquest.pipeline import check_sources
from freqquest.pipeline_config import PipelineConfig
from freqquest.runs import tracker
from freqquest.runs.tracker import Attempts, hidden_key, require_tracker, tracker_store
from freqquest.storage import locate

VARIABLES = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"),
    *("WANDB_DIR", "WANDB_PROJECT", "WANDB_MODE"),
)


@pytest.fixture(autouse=True)
def in_a_folder_without_variables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_by_default_runs_are_in_this_folder_under_the_name_of_the_run_folder(tmp_path):
    mlflow = tracker_store("mlflow", locate("results/dogs"))
    assert (mlflow.path, mlflow.experiment) == (f"sqlite:///{tmp_path}/mlflow.db", "dogs")
    wandb = tracker_store("wandb", locate("results/dogs"))
    assert (wandb.path, wandb.experiment, wandb.group) == (str(tmp_path), "dogs", "dogs")


def test_the_trackers_own_variables_name_store_and_experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "sounds")
    for uri, path in (
        ("http://tracking:5000", "http://tracking:5000"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db"),  # for workers elsewhere
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        store = tracker_store("mlflow", locate("run"))
        assert (store.path, store.experiment, store.group) == (path, "sounds", "run")
    for name, value in {"DIR": "/files", "PROJECT": "team", "MODE": "offline"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    store = tracker_store("wandb", locate("run"))
    assert (store.path, store.experiment, store.mode) == ("/files", "team", "offline")


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
@pytest.mark.parametrize(
    "start",
    [
        lambda track: tune_cnn(TuneConfig(dataset_dir="data", run_dir="run", track=track)),
        lambda track: train_cgan(TrainConfig(dataset_dir="data", run_dir="run", track=track)),
        lambda track: check_sources(PipelineConfig(run_dir="run", track=track)),
    ],
    ids=["tune_cnn", "train_cgan", "pipeline"],
)
def test_a_tracker_that_is_not_installed_is_refused_before_any_work(name, start, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        UserError,
        match=rf"`track={name}` needs the package {name}, which is not installed: "
        rf"pip install 'freqquest\[{name}\]' \(in a checkout: ",
    ):
        start(name)
    assert not Path("run").exists()


def test_a_folder_that_is_named_like_a_tracker_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UserError, match="which is not installed"):
        require_tracker("wandb")


def test_a_failing_tracker_is_reported_once_and_tried_again_after_a_pause(monkeypatch, capsys):
    now, calls = [0.0], []
    monkeypatch.setattr(tracker.time, "monotonic", lambda: now[0])

    def fail():
        calls.append(now[0])
        raise ConnectionError("no route\nto host")

    attempts = Attempts("mlflow")
    attempts(lambda: calls.append(None))
    for now[0] in (1.0, 60.9, 61.0, 200.0):
        attempts(fail)
    assert calls == [None, 1.0, 61.0, 200.0]
    assert attempts.problem == "mlflow failed (no route)"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: mlflow failed (no route); training goes on, and mlflow is tr")


def test_a_last_call_is_made_in_the_pause_too(monkeypatch):
    calls = []
    attempts = Attempts("mlflow")
    attempts(lambda: 1 / 0)
    attempts(lambda: calls.append("in the pause"))
    attempts(lambda: calls.append("last"), is_last=True)
    assert calls == ["last"]


def test_a_failure_is_told_without_a_password(capsys):
    def fail():
        raise ConnectionError("cannot reach http://me:secret@tracking:5000/api")

    attempts = Attempts("mlflow")
    attempts(fail)
    assert attempts.problem == "mlflow failed (cannot reach http://...@tracking:5000/api)"
    assert "secret" not in capsys.readouterr().err


def test_the_folder_of_weights_and_biases_is_found_by_workers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", "logs")
    assert tracker_store("wandb", locate("run")).path == f"{tmp_path}/logs"


def test_the_key_of_weights_and_biases_is_hidden_while_trials_start(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    with hidden_key():
        assert "WANDB_API_KEY" not in os.environ
    assert os.environ["WANDB_API_KEY"] == "secret"
