"""The classifier's jobs: the search, what it goes on from, its model's predictions, its benchmarks."""

import json
import shutil
import time
from dataclasses import replace

import keras
import pandas as pd
import pytest
import soundfile

from freqquest.cnn.config import TuneConfig
from freqquest.cnn.model_file import read_card
from freqquest.cnn.tune import tune_cnn
from freqquest.errors import UserError
from freqquest.runs.folder import describe_machine
from freqquest.runs.report import write_report
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.integration.conftest import TINY, events_of, start, wait_until


@pytest.fixture(scope="module")
def extra_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "extra"
    (folder / "low").mkdir(parents=True)
    for name, pitch_hz in {"low_0_000": 190.0, "high_0_000": 2900.0, "low/any": 220.0}.items():
        soundfile.write(folder / f"{name}.wav", tone(pitch_hz), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def cnn_run(command, dataset_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "cnn"
    budget = ["--num-trials", 2, "--max-epochs", 2, "--num-members", 2, "--num-folds", 2]
    command("tune_cnn", "--dataset-dir", dataset_dir, "--run-dir", folder, *budget, *TINY)
    return folder


def test_the_benchmarks_of_the_classifier_leave_figures_tables_and_pictures(
    job, small_networks, dataset_dir, tmp_path
):
    places = {name: tmp_path / f"{name}.json" for name in ("cnn", "tune")}
    budget = ["--dataset-dir", dataset_dir, "--max-epochs", 1]
    folds = ["--folds", "100", "--num-seeds", 1]  # without folds, each recording is one
    done = job("benchmark", "cnn", *budget, *folds, "--output", places["cnn"])
    assert places["cnn"].with_suffix(".md").read_text() in done.stdout + "\n"
    report = json.loads(places["cnn"].read_text())
    assert [run["preset"] for run in report["runs"]] == ["reference", "default"]
    for run in report["runs"]:
        assert (
            run["accuracy"] == sum(run["confusions"][i][i] for i in (0, 1)) / 2
        )  # of the recording's two clips
        assert report["summary"][run["preset"]]["accuracy"] == run["accuracy"]
    assert len(list(tmp_path.glob("cnn_*.png"))) == 3
    work = tmp_path / "work"
    job(
        "benchmark",
        "tune",
        *budget,
        "--num-trials",
        2,
        "--work-dir",
        work,
        "--output",
        places["tune"],
    )
    report = json.loads(places["tune"].read_text())
    assert 0 < report["share_outside_fit"] < 1
    assert len(report["fit_seconds"]) == 2
    assert not work.exists()


def test_the_benchmark_of_extra_clips_leaves_figures_and_a_table(
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


def test_tune_learns_from_extra_clips_and_says_so_and_refuses_others_that_took_their_place(
    local_ray, small_networks, dataset_dir, extra_dir, tmp_path
):
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
    assert (metrics["num_extra_clips"], metrics["num_clips"], metrics["num_recordings"]) == (
        3,
        4,
        2,
    )
    card = read_card(locate(tmp_path / "run" / "best_model.keras"))
    assert card.num_extra_clips == 3
    assert card.trained_on == "the training clips and 3 extra clips, not the validation clips"
    assert "; trained on 3 extra clips too" in write_report(config.run_dir)
    assert tune_cnn(config) == metrics | {"machine": describe_machine()}
    (tmp_path / "extra" / "low" / "any.wav").write_bytes(b"of another length")
    with pytest.raises(UserError, match="other settings: extra_clips_sha256="):
        tune_cnn(config)
    with pytest.raises(
        UserError, match="--extra-clips: .*/low/any.wav cannot be used .not readable as audio"
    ):
        tune_cnn(replace(config, run_dir=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


def test_tune_leaves_a_model_that_carries_what_prediction_needs(cnn_run):
    card = read_card(locate(cnn_run / "best_model.keras"))
    assert card.classes == ["high", "low"]
    assert card.scores["split"] == "cross-validation over 2 parts, by recordings"
    assert (card.num_members, card.trained_on) == (2, "all labeled clips")
    assert card.network["num_filters"] == 4
    assert keras.models.load_model(cnn_run / "best_model.keras", safe_mode=True).output_shape == (
        None,
        2,
    )
    metrics = json.loads((cnn_run / "metrics.json").read_text())["cnn"]
    assert metrics["num_clips"] == 20  # every clip was held out once
    assert len(metrics["accuracy_by_fold"]) == 2
    assert metrics["temperature"] == card.temperature
    page = (cnn_run / "report.html").read_text()
    for picture in (
        "confusion_matrix",
        "figures/learning_curves",
        "figures/search_progress",
        "figures/reliability",
    ):
        assert (cnn_run / f"{picture}.png").stat().st_size > 1000
        assert f"{picture}.png" in page


def test_tune_lists_every_trial_and_logs_its_curves_pictures_and_sounds(cnn_run):
    trials = pd.read_csv(cnn_run / "trials.csv")
    assert len(trials) == 2
    assert trials["network"].tolist() == ["residual", "plain"]  # the preset, then the recipe
    assert set(trials["state"]) <= {"finished", "stopped early"}
    sounds = set()
    for trial in trials["trial"]:
        events = events_of(cnn_run / "tensorboard" / "cnn" / trial)
        tags = set(events.Tags()["tensors"])
        assert {
            "train/loss",
            "validation/accuracy",
            "config",
            "validation/confusion_matrix",
            "mistakes/captions",
        } <= tags
        assert "_hparams_/session_start_info" in events.summary_metadata
        sounds |= {tag for tag in tags if tag.startswith("mistakes/")} - {"mistakes/captions"}
    assert sounds  # two epochs leave mistakes


def test_a_finished_search_is_not_repeated_and_other_settings_are_refused(
    job, cnn_run, dataset_dir, tmp_path
):
    before = (cnn_run / "best_model.keras").stat().st_mtime_ns
    (tmp_path / "manifest.json").write_bytes(
        (dataset_dir / "manifest.json").read_bytes()
    )  # no clip is read again
    arguments = [
        "--dataset-dir",
        tmp_path,
        "--run-dir",
        cnn_run,
        "--num-trials",
        2,
        "--num-members",
        2,
    ]
    arguments += ["--num-folds", 2, *TINY]
    job("tune_cnn", *arguments, "--max-epochs", 2)
    assert (cnn_run / "best_model.keras").stat().st_mtime_ns == before
    refused = job("tune_cnn", *arguments, "--max-epochs", 3, expect=2)
    assert (
        "cnn run with other settings: max_epochs=3 (there: 2); choose another --run-dir"
        in refused.stderr
    )


def test_a_search_whose_driver_was_killed_keeps_its_finished_trials(
    job, local_ray, dataset_dir, tmp_path
):
    run = tmp_path / "run"
    arguments = [
        "--dataset-dir",
        dataset_dir,
        "--run-dir",
        run,
        "--num-trials",
        "3",
        "--max-epochs",
        "2",
    ]
    arguments += ["--num-members", "0", *TINY]
    with start(local_ray, "tune_cnn", *arguments) as first:
        finished = wait_until(
            first, lambda: list(run.glob("trials/*/checkpoint_*/predictions.npz"))
        )
        time.sleep(1.0)  # Ray Tune notes the trial's end
        first.kill()
    assert not (run / "metrics.json").exists()
    before = {path: path.stat().st_mtime_ns for path in finished}
    job("tune_cnn", *arguments)
    assert {path: path.stat().st_mtime_ns for path in before} == before, (
        "a finished trial was trained again"
    )
    trials = pd.read_csv(run / "trials.csv")
    assert len(trials) == 3
    assert (
        trials["network"][0] == "residual"
    )  # the preset, in whatever order the trials were taken up again
    assert {path.parent.parent.name for path in finished} <= set(trials["trial"])
    assert {path.name for path in run.glob("tensorboard/cnn/*")} == set(trials["trial"])
    assert (run / "best_model.keras").is_file()


def test_trials_that_fail_are_named_with_their_configuration_and_another_one_wins(
    job, dataset_dir, tmp_path
):
    run = tmp_path / "run"
    # The preset gets the first rate and the recipe the first pooling, as theirs are not among them; the third is drawn.
    rates, poolings = "1e30,11e-4,12e-4,13e-4,14e-4,15e-4,16e-4,17e-4,18e-4", "200,2,3,4,5,6,7,8,9"
    only = ["num_filters=4", "min_steps=1", f"learning_rate={rates}", f"input_pooling={poolings}"]
    arguments = [
        "--dataset-dir",
        dataset_dir,
        "--run-dir",
        run,
        "--num-trials",
        3,
        "--max-epochs",
        1,
    ]
    arguments += ["--cpus-per-trial", 2]  # each trial takes over the process of the one before
    done = job("tune_cnn", *arguments, "--num-members", 0, "--only", *only)
    diverged, crashed, sound = pd.read_csv(run / "trials.csv").to_dict("records")
    assert "epoch 1: the loss is nan" in diverged["state"]
    assert "ValueError" in crashed["state"]
    assert sound["state"] == "finished"
    for failed in (diverged, crashed):
        assert f"trial {failed['trial']} failed: " in done.stderr
    assert "begun again" not in done.stderr
    assert "Traceback" in (run / "trials" / crashed["trial"] / "error.txt").read_text()
    assert "num_filters=4" in done.stderr
    metrics = json.loads((run / "metrics.json").read_text())["cnn"]
    assert metrics["trial"] == sound["trial"]
    assert metrics["num_failed_trials"] == 2


def test_predict_writes_the_samples_rows_in_its_order(
    command, job, cnn_run, unlabeled_dir, tmp_path
):
    clips, sample, output = (tmp_path / name for name in ("clips", "sample.csv", "submission.csv"))
    shutil.copytree(unlabeled_dir, clips)
    shutil.copy(clips / "a.wav", clips / "=1.wav")
    sample.write_text(
        "ID,Class\nc.wav,low\nbroken.wav,low\na.wav,low\nb.WAV,low\n=1.wav,low\nc.wav,low\n"
    )
    arguments = ["--model", cnn_run / "best_model.keras", "--audio-dir", clips, "--output", output]
    done = command("predict", *arguments, "--sample-submission", sample)
    submission = pd.read_csv(output)
    assert submission.columns.tolist() == ["ID", "Class"]
    assert submission["ID"].tolist() == [
        "c.wav",
        "broken.wav",
        "a.wav",
        "b.WAV",
        "'=1.wav",
        "c.wav",
    ]
    assert set(submission["Class"]) <= {"high", "low"}
    assert "1 clip(s) could not be read" in done.stdout
    assert pd.read_csv(f"{output}.unreadable.csv")["ID"].tolist() == ["broken.wav"]
    assert (
        "exists: choose another, or --overwrite it" in job("predict", *arguments, expect=2).stderr
    )
    job("predict", *arguments, "--probabilities", "--overwrite")
    table = pd.read_csv(output)
    assert table.columns.tolist() == ["ID", "Class", "probability_high", "probability_low"]
    assert max(len(cell) for cell in output.read_text().replace("\n", ",").split(",")) <= len(
        "probability_high"
    )
    sums = table.set_index("ID")[["probability_high", "probability_low"]].sum(axis=1)
    assert sums.round(3).to_dict() == {
        "'=1.wav": 1.0,
        "a.wav": 1.0,
        "b.WAV": 1.0,
        "broken.wav": 0.0,
        "c.wav": 1.0,
    }
