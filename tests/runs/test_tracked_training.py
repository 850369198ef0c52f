"""Runs of trainings in a local store of each tracker, without Ray Train."""

import pickle
import threading

import pytest

from freqquest.runs.tracked_training import TrackedTraining
from freqquest.runs.tracker import tracker_store
from freqquest.storage import locate

LOSSES = {"loss/loss_G": 0.5, "loss/loss_D": 0.25}


@pytest.fixture
def make_tracked(tmp_path):
    """A function that describes the run of one training, as each of its processes gets it."""

    def make(name):
        run = locate(tmp_path / "run")
        store = tracker_store(name, run)
        made = TrackedTraining(store, "generator", {"epochs": 3}, run / "tracked_run.json")
        return pickle.loads(pickle.dumps(made))

    (tmp_path / "run").mkdir()
    return make


def log(tracked, epoch, more=None):
    """Log an epoch from a thread of its own: MLflow's active run is that of the thread."""
    thread = threading.Thread(target=tracked.log, args=(epoch, LOSSES | (more or {})))
    thread.start()
    thread.join()


def test_epochs_are_in_mlflow_and_a_training_that_goes_on_is_in_the_same_run(
    make_tracked, mlflow_runs
):
    first, second = make_tracked("mlflow"), make_tracked("mlflow")
    log(first, 1)
    log(second, 2, {"judge_kernel/cat (tame)": 2.0})
    log(second, 3)
    second.close()
    assert first.problem is None
    assert second.problem is None
    (run,) = mlflow_runs("run")
    assert (run.info.run_name, run.info.status) == ("generator", "FINISHED")
    assert run.data.params == {"epochs": "3"}
    assert run.curves["loss/loss_G"] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert run.curves["judge_kernel/cat _tame_"] == [(2, 2.0)]


def test_a_training_in_another_store_gets_another_run(make_tracked, mlflow_runs):
    make_tracked("wandb")._record_id("run-of-wandb")
    tracked = make_tracked("mlflow")
    log(tracked, 1)
    assert tracked.problem is None
    assert len(mlflow_runs("run")) == 1


def test_a_server_that_does_not_answer_loses_nothing_but_its_epochs(
    make_tracked, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracked = make_tracked("mlflow")
    for epoch in (1, 2):
        tracked.log(epoch, LOSSES)
    tracked.close()
    assert tracked.problem.startswith("mlflow failed (API request to http://127.0.0.1:9/")
    assert not (tmp_path / "run" / "tracked_run.json").exists()


def test_epochs_are_in_the_offline_files_of_wandb(make_tracked, offline_wandb):
    tracked = make_tracked("wandb")
    tracked.log(1, LOSSES)
    tracked.close()
    assert tracked.problem is None
    (file,) = offline_wandb.glob("wandb/offline-run-*/*.wandb")
    assert make_tracked("wandb")._recorded_id() in file.name
    content = file.read_bytes()
    assert b"loss/loss_G" in content
    assert b"generator" in content


def test_a_training_whose_run_was_deleted_gets_another_one(make_tracked, mlflow_runs):
    from mlflow import MlflowClient

    log(make_tracked("mlflow"), 1)
    (run,) = mlflow_runs("run")
    store = tracker_store("mlflow", locate("run")).path
    MlflowClient(store).delete_run(run.info.run_id)
    tracked = make_tracked("mlflow")
    log(tracked, 2)
    assert tracked.problem is None
    (other,) = mlflow_runs("run")
    assert other.info.run_id != run.info.run_id
