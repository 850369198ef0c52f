import os
import pickle
from types import SimpleNamespace

import optuna
from ray import tune
from ray.tune.constants import TUNE_ENV_VARS

from freqquest.cluster import ray_internals
from freqquest.cnn.search.ray_tune import (
    ProtectedASHA,
    ResumableOptunaSearch,
    SearchProgress,
    TrialTracker,
    index_of_point,
)
from freqquest.cnn.search.run import first_points
from freqquest.cnn.tune_config import TuneConfig
from freqquest.runs.tracker import tracker_store
from freqquest.storage import locate


def test_points_are_found_by_their_values():
    points = first_points(TuneConfig(dataset_dir="unused", run_dir="unused"))
    others = {"seed": 0, "copies": "draw"}
    assert index_of_point(others | points[0], points) == 0
    assert index_of_point(others | points[1], points) == 1
    assert index_of_point(points[0] | {"mixup": 1.0}, points) == 2


def asha(metric, **epochs):
    return ProtectedASHA(
        {"mixup": 0.3}, metric=metric, mode="max", time_attr="epoch", reduction_factor=3, **epochs
    )


def test_the_scheduler_stops_weak_trials_early_but_never_the_protected_one():
    scheduler = asha("score", max_t=8, grace_period=2)

    def decisions(number, mixup, score):
        config = {"mixup": mixup}
        trial = SimpleNamespace(trial_id=str(number), config=config, last_result={})
        scheduler.on_trial_add(None, trial)
        return [
            scheduler.on_trial_result(None, trial, {"epoch": epoch, "score": score})
            for epoch in (2, 8)
        ]

    for number in range(4):
        decisions(number, 0.0, 0.9)
    assert decisions(4, 0.0, 0.1)[0] == "STOP"
    assert decisions(5, 0.3, 0.1) == ["CONTINUE", "STOP"]  # at its end, like all


def test_a_resumed_search_compares_with_the_trials_of_before_its_interruption():
    scheduler = asha("validation/score", max_t=30, grace_period=10)

    def add(number, rung_scores):
        result = {"rung_scores": rung_scores} if rung_scores else {}
        trial = SimpleNamespace(trial_id=str(number), config={"mixup": 0.0}, last_result=result)
        scheduler.on_trial_add(None, trial)
        return trial

    def report(trial, epoch, score):
        result = {"epoch": epoch, "validation/score": score}
        return scheduler.on_trial_result(None, trial, result)

    running = [add(number, [[10, 0.5 + number / 100]]) for number in range(3)]
    # They go on, whatever their scores are now: they were compared at epoch 10.
    assert [report(trial, 21, 0.1) for trial in running] == ["CONTINUE"] * 3
    assert report(add(3, []), 10, 0.49) == "STOP"
    assert report(add(4, []), 10, 0.6) == "CONTINUE"


def test_progress_goes_back_when_a_trial_restarts(capsys):
    progress, trial = SearchProgress(num_trials=2, num_epochs=4), SimpleNamespace(trial_id="a")
    progress.on_step_begin(0, [])
    for epoch in (1, 2, 3):
        progress.on_trial_result(0, [], trial, {"epoch": epoch, "validation/score": 0.5})
    progress.on_trial_recover(0, [], trial)
    progress.on_trial_result(0, [], trial, {"epoch": 1, "validation/score": 0.5})
    progress.on_experiment_end([])
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1/8" in last
    assert "0/2 trials done, 1 lost and resumed, best validation score 0.500" in last


def test_trials_that_an_interrupted_search_finished_count_as_done(capsys):
    kept = SimpleNamespace(
        trial_id="a", is_finished=lambda: True, last_result={"validation/score": 0.75}
    )
    new = SimpleNamespace(trial_id="b", is_finished=lambda: False, last_result={})
    progress = SearchProgress(num_trials=2, num_epochs=4)
    progress.on_step_begin(0, [kept, new])
    first = capsys.readouterr().err.splitlines()[-1]
    assert "4/8" in first
    assert "1/2 trials done, best validation score 0.750" in first
    progress.on_trial_result(0, [], new, {"epoch": 4, "validation/score": 0.5})
    progress.on_trial_complete(0, [], new)
    progress.on_experiment_end([kept, new])
    last = capsys.readouterr().err.splitlines()[-1]
    assert "8/8" in last
    assert "2/2 trials done, best validation score 0.750" in last


def test_a_search_without_remaining_trials_shows_them_as_done(capsys):
    kept = SimpleNamespace(
        trial_id="a", is_finished=lambda: True, last_result={"validation/score": 0.75}
    )
    SearchProgress(num_trials=1, num_epochs=4).on_experiment_end([kept])
    assert "1/1 trials done, best validation score 0.750" in capsys.readouterr().err


def test_results_of_trials_that_optuna_did_not_propose_are_ignored():
    search = ResumableOptunaSearch(sampler=optuna.samplers.RandomSampler(seed=0))
    search.set_search_properties("score", "max", {"mixup": tune.uniform(0.0, 1.0)})
    assert search.suggest("known") is not None
    assert ray_internals.knows_trial(search, "known")
    assert not ray_internals.knows_trial(search, "unknown")
    for trial_id in ("known", "unknown"):
        search.on_trial_complete(trial_id, {"score": 0.5})
    assert [finished.value for finished in search._ot_study.trials] == [0.5]


def test_ray_tune_still_has_the_private_names_that_are_used(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    ray_internals.set_max_pending_trials(3)
    ray_internals.wait_for_stopped_trials()
    assert set(os.environ) <= TUNE_ENV_VARS


class FakeTrial:
    """A trial, as callbacks see it."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id, self.config = trial_id, {"mixup": 0.25, "seed": 3}

    def __str__(self) -> str:
        return f"run_trial_{self.trial_id}"


def tracker_of_trials(tracker, tmp_path):
    return TrialTracker(tracker_store(tracker, locate(tmp_path / "run")))


def report_of(step, is_new=True):
    metrics = {"train/loss": 1 / step, "validation/loss": 2 / step} if is_new else {}
    return {"validation/score": 0.5, "step": step, "new_metrics": metrics, "history": [{"a": 1.0}]}


def test_each_trial_is_a_run_of_mlflow_in_which_a_resumed_search_goes_on(tmp_path, mlflow_runs):
    begun, trials = tracker_of_trials("mlflow", tmp_path), [FakeTrial("a"), FakeTrial("b")]
    for trial in trials:
        begun.log_trial_start(trial)
        begun.log_trial_result(1, trial, report_of(1))
    begun.log_trial_end(trials[1])
    resumed, trial = tracker_of_trials("mlflow", tmp_path), FakeTrial("a")
    resumed.set_state(begun.get_state())
    resumed.log_trial_start(trial)
    resumed.log_trial_result(1, trial, report_of(2))
    resumed.log_trial_result(2, trial, report_of(2, is_new=False))  # its end
    resumed.log_trial_end(trial)
    resumed.on_experiment_end([trial])
    runs = {run.info.run_name: run for run in mlflow_runs("run")}
    assert sorted(runs) == ["run_trial_a", "run_trial_b"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    run = runs["run_trial_a"]
    assert run.data.params == {"mixup": "0.25", "seed": "3"}
    assert run.curves["train/loss"] == [(1, 1.0), (2, 0.5)]
    assert run.curves["validation/loss"] == [(1, 2.0), (2, 1.0)]
    assert run.curves["validation/score"] == [(1, 0.5), (2, 0.5)]


def test_a_tracker_that_fails_raises_nothing_in_a_search(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracker, trial = tracker_of_trials("mlflow", tmp_path), FakeTrial("a")
    tracker.log_trial_start(trial)
    tracker.log_trial_result(1, trial, report_of(1))
    tracker.log_trial_end(trial, failed=True)
    tracker.on_experiment_end([trial])
    assert capsys.readouterr().err.count("warning: mlflow failed (API request to http://127") == 1


def test_the_files_of_a_search_do_not_hold_the_uri_which_may_have_a_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/runs")
    tracker = tracker_of_trials("mlflow", tmp_path)
    assert b"secret" not in pickle.dumps(tracker)
    assert "secret" not in str(tracker.get_state())


def test_a_trial_is_a_run_in_the_offline_files_of_wandb(local_ray, tmp_path, offline_wandb):
    def train(params):
        for step in (1, 2):
            tune.report(report_of(step))

    tuner = tune.Tuner(
        train,
        param_space={"mixup": 0.25},
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(tmp_path),
            callbacks=[tracker_of_trials("wandb", tmp_path)],
            verbose=0,
        ),
    )
    (result,) = tuner.fit()
    assert result.error is None
    (file,) = offline_wandb.glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes()
    for text in (b"train/loss", b"validation/score", b"mixup"):
        assert text in content
