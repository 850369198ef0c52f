"""What `test_pipeline.py` does not show of the search: folds, extra clips, failures; benchmarks."""

import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import soundfile
from ray import tune

from freqquest.cnn.classifier import Classifier
from freqquest.cnn.labeled_clips import load_labeled
from freqquest.cnn.model_file import read_card
from freqquest.cnn.search import run as search
from freqquest.cnn.search.ray_tune import SearchProgress
from freqquest.cnn.search.trial import TrialTask, run_trial
from freqquest.cnn.tune import tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.runs.report import summarize, write_report
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.integration.conftest import SAVE_EVERY_EVENT, TINY, ended_trials, events_of, start
from tests.servers import DEADLINE_S, wait_until


@pytest.fixture(scope="module")
def extra_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "extra"
    (folder / "low").mkdir(parents=True)
    for name, pitch_hz in {"low_0_000": 190.0, "high_0_000": 2900.0, "low/any": 220.0}.items():
        soundfile.write(folder / f"{name}.wav", tone(pitch_hz), RATE_HZ)
    return folder


@pytest.mark.slow
def test_the_benchmark_of_the_presets_writes_metrics_a_table_and_plots(
    job, small_networks, dataset_dir, tmp_path
):
    output = tmp_path / "cnn.json"
    arguments = ["--dataset-dir", dataset_dir, "--max-epochs", 1, "--output", output]
    folds = ["--folds", "100", "--num-seeds", 1]  # without folds, each recording is one
    done = job("benchmark", "cnn", *arguments, *folds)
    assert output.with_suffix(".md").read_text() in done.stdout + "\n"
    report = json.loads(output.read_text())
    assert [run["kind"] for run in report["runs"]] == ["reference", "default"]
    for run in report["runs"]:
        num_right = sum(run["confusions"][i][i] for i in (0, 1))
        assert run["accuracy"] == num_right / 2  # of the recording's two clips
        assert report["summary"][run["kind"]]["accuracy"] == run["accuracy"]
    assert len(list(tmp_path.glob("cnn_*.png"))) == 3


@pytest.mark.slow
def test_the_benchmark_of_a_search_writes_the_share_of_time_outside_training(
    job, small_networks, dataset_dir, tmp_path
):
    work, output = tmp_path / "work", tmp_path / "tune.json"
    arguments = ["--dataset-dir", dataset_dir, "--max-epochs", 1, "--num-trials", 1]
    job("benchmark", "tune", *arguments, "--work-dir", work, "--output", output)
    report = json.loads(output.read_text())
    assert 0 < report["share_outside_fit"] < 1
    assert len(report["fit_seconds"]) == 1
    assert not work.exists()


@pytest.mark.slow
def test_the_benchmark_of_extra_clips_writes_metrics_and_a_table(
    job, small_networks, dataset_dir, extra_dir, tmp_path
):
    budget = ["--max-epochs", 1, "--num-seeds", 1, "--output", tmp_path / "extra.json"]
    done = job(
        "benchmark", "extra", "--dataset-dir", dataset_dir, "--extra-clips", extra_dir, *budget
    )
    assert (tmp_path / "extra.md").read_text() in done.stdout + "\n"
    report = json.loads((tmp_path / "extra.json").read_text())
    assert report["about"].startswith(
        "16 training clips without and with 3 extra ones; tested on 4 clips"
    )
    assert [run["training"] for run in report["runs"]] == ["without", "with"]
    gained = report["runs"][1]["accuracy"] - report["runs"][0]["accuracy"]
    assert report["summary"]["difference"]["accuracy"] == gained


@pytest.mark.slow
def test_a_search_in_shards_trains_on_extra_clips_and_refuses_other_ones_in_their_place(
    local_ray, small_networks, dataset_dir, extra_dir, tmp_path, monkeypatch
):
    in_shards = partial(load_labeled, max_bytes=2**20)  # the dataset has more
    monkeypatch.setattr("freqquest.cnn.tune.load_labeled", in_shards)
    shutil.copytree(extra_dir, tmp_path / "extra")
    config = TuneConfig(
        dataset_dir=str(dataset_dir),
        run_dir=str(tmp_path / "run"),
        extra_clips=str(tmp_path / "extra"),
        preset="reference",
        max_epochs=1,
        num_members=0,
    )
    metrics = tune_cnn(config)
    counts = tuple(metrics[name] for name in ("num_extra_clips", "num_clips", "num_recordings"))
    assert counts == (3, 4, 2)
    card = read_card(locate(tmp_path / "run" / "best_model.keras"))
    assert card.num_extra_clips == 3
    assert card.trained_on == "the training clips and 3 extra clips, not the validation clips"
    assert "; trained on 3 extra clips too" in summarize(config.run_dir)
    assert tune_cnn(config) == metrics
    (tmp_path / "extra" / "low" / "any.wav").write_bytes(b"of another length")
    with pytest.raises(UserError, match="other settings: extra_clips_sha256="):
        tune_cnn(config)
    with pytest.raises(
        UserError, match="`extra_clips`: .*/low/any.wav cannot be read .not readable as audio"
    ):
        tune_cnn(replace(config, run_dir=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_search_over_folds_that_ctrl_c_ended_keeps_its_finished_trials(
    job, local_ray, dataset_dir, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    arguments = ["--run-dir", run, "--num-trials", 2, "--num-members", 0, "--num-folds", 2, *TINY]
    # One trial after the other: the second has hardly begun when the first has ended.
    budget = ["--dataset-dir", dataset_dir, "--max-epochs", 1, "--cpus-per-trial", 2]
    monkeypatch.setenv(*SAVE_EVERY_EVENT)
    with start(local_ray, "tune_cnn", *budget, *arguments) as first:
        finished = wait_until(first, lambda: ended_trials(run))
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("error: interrupted; finished stages are kept")
    assert not (run / "metrics.json").exists()
    kept = [path for trial in finished for path in run.glob(f"trials/{trial}/*/predictions.npz")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    job("tune_cnn", *budget, *arguments)
    assert {path: path.stat().st_mtime_ns for path in before} == before, (
        "a finished trial was trained again"
    )
    trials = pd.read_csv(run / "trials.csv")
    assert len(trials) == 2
    assert trials["network"][0] == "residual"  # the preset, in whatever order trials resumed
    assert set(finished) <= set(trials["trial"])
    assert {path.name for path in run.glob("tensorboard/cnn/*")} == set(trials["trial"])
    card = read_card(locate(run / "best_model.keras"))
    assert card.scores["split"] == "cross-validation over 2 parts, by recordings"
    metrics = json.loads((run / "metrics.json").read_text())["cnn"]
    assert metrics["num_clips"] == 20  # every clip was held out once
    assert len(metrics["accuracy_by_fold"]) == 2

    before = (run / "best_model.keras").stat().st_mtime_ns
    # Of a finished search, no clip is read again.
    (tmp_path / "manifest.json").write_bytes((dataset_dir / "manifest.json").read_bytes())
    arguments += ["--dataset-dir", tmp_path]
    job("tune_cnn", *arguments, "--max-epochs", 1)
    assert (run / "best_model.keras").stat().st_mtime_ns == before
    refused = job("tune_cnn", *arguments, "--max-epochs", 2, expect=2)
    message = "cnn run with other settings: max_epochs=2 (there: 1); choose another --run-dir"
    assert message in refused.stderr


def test_trials_that_fail_are_named_with_their_configuration_and_another_one_wins(
    job, dataset_dir, tmp_path
):
    run = tmp_path / "run"
    # The preset gets the first rate and the recipe the first filter; the third trial is drawn.
    rates, filters = "1e30,11e-4,12e-4,13e-4,14e-4,15e-4,16e-4,17e-4,18e-4", "1e308,6,1,2,3,4,5,7,8"
    only = [
        *TINY[1:],
        f"learning_rate={rates}",
        f"equalizer_db={filters}",
    ]
    budget = ["--num-trials", 3, "--max-epochs", 1, "--num-members", 0]
    alone = ["--cpus-per-trial", 2]  # each trial takes over the process of the one before
    paths = ["--dataset-dir", dataset_dir, "--run-dir", run]
    done = job("tune_cnn", *paths, *budget, *alone, "--only", *only)
    diverged, crashed, sound = pd.read_csv(run / "trials.csv").to_dict("records")
    assert "epoch 1: the loss is nan" in diverged["state"]
    assert "OverflowError" in crashed["state"]
    assert sound["state"] == "finished"
    for failed in (diverged, crashed):
        assert f"trial {failed['trial']} failed: " in done.stderr
    assert "restarted" not in done.stderr
    assert "Traceback" in (run / "trials" / crashed["trial"] / "error.txt").read_text()
    assert "num_filters=4" in done.stderr
    metrics = json.loads((run / "metrics.json").read_text())["cnn"]
    assert metrics["trial"] == sound["trial"]
    assert metrics["num_failed_trials"] == 2


@pytest.mark.slow
def test_a_fusion_is_trained_saved_and_used(
    embedded_dataset_dir, small_networks, tmp_path, audio_dir
):
    config = TuneConfig(
        dataset_dir=str(embedded_dataset_dir),
        run_dir=str(tmp_path / "run"),
        classifier="fusion",
        num_trials=1,
        max_epochs=1,
        num_members=1,
    )
    metrics = tune_cnn(config)
    assert set(metrics["classifiers"]["scores"]) == {"cnn", "embedding", "fusion"}
    assert metrics["classifiers"]["scores"]["fusion"] == metrics["accuracy"]
    classifier = Classifier.load(tmp_path / "run" / "best_model.keras")
    paths = [str(path) for path in sorted(audio_dir.glob("*/*.wav"))][:4]
    assert np.isfinite(classifier.predict(paths)["probability"]).all()
    write_report(config.run_dir)
    assert "fusion of both (kept)" in (tmp_path / "run" / "report.html").read_text()
    assert tune_cnn(config) == metrics


@pytest.mark.slow
def test_a_search_that_is_interrupted_goes_on_after_the_last_epoch_of_each_trial(
    local_ray, small_networks, dataset_dir, tmp_path, monkeypatch, mlflow_runs
):
    config = TuneConfig(
        dataset_dir=str(dataset_dir),
        run_dir=str(tmp_path / "undisturbed"),
        max_epochs=4,
        num_trials=1,
        num_members=0,
        num_folds=2,
    )
    undisturbed = tune_cnn(config)
    config = replace(config, run_dir=str(tmp_path / "interrupted"), track="mlflow")
    epochs, death = tmp_path / "epochs.txt", tmp_path / "death"

    def mortal_trial(params, task):
        """Note each epoch, and die with the process after the second one."""
        report = tune.report

        def note(metrics, checkpoint):
            report(metrics, checkpoint=checkpoint)
            with epochs.open("a") as log:
                log.write(f"{metrics['epoch']}\n")
            if metrics["epoch"] == 2 and not death.exists():
                death.touch()
                os._exit(1)

        with mock.patch.object(tune, "report", note):
            run_trial(params, task)

    def interrupt(*_, result, **__):
        if result["epoch"] == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(search, "TrialTask", partial(TrialTask, save_interval_s=0))
    monkeypatch.setattr(search, "run_trial", mortal_trial)
    interruption = mock.patch.object(SearchProgress, "on_trial_result", interrupt)
    with interruption, pytest.raises(KeyboardInterrupt):
        tune_cnn(config)
    assert not (tmp_path / "interrupted" / "metrics.json").exists()
    metrics = tune_cnn(config)
    # The last report of a process does not return.
    assert [int(line) for line in epochs.read_text().split()] == [1, 2, 3, 4, 6, 7]
    assert metrics["accuracy_by_fold"] == undisturbed["accuracy_by_fold"]
    expected, found = (
        pd.read_csv(tmp_path / name / "trials.csv") for name in ("undisturbed", "interrupted")
    )
    assert found["epochs"].tolist() == [8]
    np.testing.assert_allclose(found["train/loss"], expected["train/loss"], rtol=1e-3)
    (logs,) = (tmp_path / "interrupted" / "tensorboard" / "cnn").iterdir()
    curve = events_of(logs).Tensors("train/loss")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not list((tmp_path / "interrupted" / "trials").glob("*/progress"))
    (tracked,) = mlflow_runs("interrupted")
    assert {step for step, _ in tracked.curves["train/loss"]} == {1, 2, 3, 4, 5, 6, 7, 8}
    assert tracked.info.status == "FINISHED"


@pytest.mark.slow
def test_a_search_trains_on_from_an_earlier_model_with_one_more_class(
    small_networks, local_ray, audio_dir, tmp_path
):
    sounds, dataset = tmp_path / "sounds", str(tmp_path / "dataset")
    shutil.copytree(audio_dir, sounds)
    settings = {"audio_dir": str(sounds), "dataset_dir": dataset}
    write_dataset(PreprocessConfig(**settings))
    first = TuneConfig(
        dataset_dir=dataset,
        run_dir=str(tmp_path / "first"),
        num_trials=1,
        num_members=1,
        max_epochs=4,
        only=("learning_rate=0.01", "min_steps=20"),
    )
    tune_cnn(first)
    (sounds / "added").mkdir()
    for number in range(8):
        soundfile.write(sounds / f"added/20{number}-2-0-0.wav", tone(700.0 + number), RATE_HZ)
    write_dataset(PreprocessConfig(**settings, append=True))
    model = tmp_path / "first" / "best_model.keras"
    second = replace(first, run_dir=str(tmp_path / "second"), start_from=str(model))
    metrics = tune_cnn(second)
    start = metrics["start"]
    assert start["is_unheard"]
    assert start["new_classes"] == ["added"]
    assert set(start["by_class"]) == {"high", "low"}
    earlier = json.loads((tmp_path / "first" / "metrics.json").read_text())["cnn"]
    assert start["before"] == earlier["accuracy"] > 0  # of the same clips, by the same network
    assert start["num_clips"] == earlier["num_clips"] < metrics["num_clips"]
    card = read_card(locate(tmp_path / "second" / "best_model.keras"))
    assert card.classes == ["high", "low", "added"]
    assert card.normalization == read_card(locate(model)).normalization
    assert f"trained on from {model}: accuracy " in summarize(second.run_dir)
    write_report(second.run_dir)
    assert "All trials started from" in (tmp_path / "second" / "report.html").read_text()
    shutil.rmtree(tmp_path / "first" / "trials")
    with pytest.raises(UserError, match="was trained on the validation clips of this dataset too"):
        tune_cnn(replace(second, run_dir=str(tmp_path / "third")))
