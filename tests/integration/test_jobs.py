"""Each job as a user runs it: its own process, its command line, what it leaves on disk, its exit code."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from freqquest.benchmark.config import ExtraBenchmark
from freqquest.benchmark.extra import benchmark_extra
from freqquest.cnn.config import PRESETS, CnnConfig, TuneConfig
from freqquest.cnn.job import tune_cnn
from freqquest.cnn.model import read_card
from freqquest.errors import UserError
from freqquest.runs.folder import describe_machine
from freqquest.runs.report import write_report
from freqquest.runs.storage import locate
from tests.conftest import RATE_HZ, tone

TINY = ("--only", "num_filters=4", "input_pooling=2,1", "min_steps=1", "normalisation=dataset,none")
"""Keeps the classifier's networks small."""

ROOT = Path(__file__).parent.parent.parent
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))


@pytest.fixture(scope="module")
def job(local_ray):
    """Runs a job on the session's Ray, as on any cluster, and gives what became of it."""

    def run(name, *arguments, expect=0):
        done = subprocess.run(
            [sys.executable, f"jobs/{name}.py", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"RAY_ADDRESS": local_ray},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def dataset_dir(job, audio_dir, unlabelled_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "dataset"
    job("preprocess", "--audio-dir", audio_dir, "--dataset-dir", folder, "--test-dir", unlabelled_dir)
    return folder


@pytest.fixture(scope="module")
def extra_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "extra"
    (folder / "low").mkdir(parents=True)
    for name, pitch_hz in {"low_0_000": 190.0, "high_0_000": 2900.0, "low/any": 220.0}.items():
        soundfile.write(folder / f"{name}.wav", tone(pitch_hz), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def cnn_run(job, dataset_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "cnn"
    budget = ["--num-trials", 2, "--max-epochs", 2, "--num-members", 2, "--num-folds", 2]
    job("tune_cnn", "--dataset-dir", dataset_dir, "--run-dir", folder, *budget, *TINY)
    return folder


@pytest.fixture(scope="module")
def cgan_run(job, dataset_dir, cnn_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "cgan"
    judge = ["--judge", cnn_run / "best_model.keras", "--judge-every", 1, "--judge-clips", 2]
    job("train_cgan", "--dataset-dir", dataset_dir, "--run-dir", folder, "--epochs", 2, "--num-workers", "1:2", *judge)
    return folder


MANY_EPOCHS = ("--epochs", "20", "--sample-every", "100")


@pytest.fixture(scope="module")
def uninterrupted(job, dataset_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "uninterrupted"
    job("train_cgan", "--dataset-dir", dataset_dir, "--run-dir", folder, *MANY_EPOCHS)
    return (folder / "generator.safetensors").read_bytes()


def events_of(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"audio": 0, "images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


@pytest.mark.parametrize("name", JOBS)
def test_help_comes_from_the_settings_without_loading_a_framework(name):
    code = (
        "import runpy, sys; sys.argv = ['job', '--help']\n"
        f"try: runpy.run_path('jobs/{name}.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "loaded = {'ray', 'tensorflow', 'torch', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_preprocess_writes_the_dataset(dataset_dir):
    assert {path.name for path in dataset_dir.iterdir()} == {
        "manifest.json",
        "quarantine.csv",
        "figures",
        "train",
        "validation",
        "test",
    }


def test_preprocess_again_changes_nothing_and_needs_no_ray(dataset_dir, audio_dir, unlabelled_dir):
    arguments = ["--audio-dir", audio_dir, "--dataset-dir", dataset_dir, "--test-dir", unlabelled_dir]
    done = subprocess.run(
        [sys.executable, "jobs/preprocess.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "rows: 16 train, 4 validation, 3 test" in done.stdout


def test_verify_names_damaged_shards_and_fails(job, dataset_dir, tmp_path):
    assert "3 shards are whole" in job("preprocess", "--dataset-dir", dataset_dir, "--verify").stdout
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = job("preprocess", "--dataset-dir", tmp_path / "dataset", "--verify", expect=2)
    assert f"{shard} is damaged" in done.stderr


def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on(job, audio_dir, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]).returncode != 0:
        pytest.skip("a small disk can be mounted only by root")
    try:
        arguments = ["--audio-dir", audio_dir, "--dataset-dir", disk / "dataset", "--clips-per-shard", 4]
        done = job("preprocess", *arguments, expect=1)
        assert re.fullmatch(
            r"error: .*/part-0000\d.parquet cannot be written: No space left .*", done.stderr.splitlines()[-1]
        )
        assert not (disk / "dataset" / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert "16 train, 4 validation" in job("preprocess", *arguments).stdout
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_benchmark_of_preprocessing_leaves_figures_and_a_table(job, audio_dir, tmp_path):
    settings = {"num-clips": 40, "num-naive-clips": 4, "num-runs": 1, "memory-clips": 20, "work-dir": tmp_path / "work"}
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    done = job("benchmark", "preprocess", "--audio-dir", audio_dir, "--output", tmp_path / "figures.json", *flags)
    report = json.loads((tmp_path / "figures.json").read_text())
    assert all(value > 0 for value in report["medians"].values())
    assert report["medians"].keys() == {*("naive", "limit", "freqquest", "read", "command_s", "same_command_again_s")}
    assert report["runs"]["peak_memory_mib"]["20"] > 50
    assert (tmp_path / "figures.md").read_text() in done.stdout + "\n"
    assert not (tmp_path / "work").exists()


def test_the_benchmarks_of_the_classifier_leave_figures_tables_and_pictures(job, dataset_dir, tmp_path):
    places = {name: tmp_path / f"{name}.json" for name in ("cnn", "tune")}
    budget = ["--dataset-dir", dataset_dir, "--max-epochs", 1]
    folds = ["--folds", "100", "--num-seeds", 1]  # without folds, each recording is one
    done = job("benchmark", "cnn", *budget, *folds, "--output", places["cnn"])
    assert places["cnn"].with_suffix(".md").read_text() in done.stdout + "\n"
    report = json.loads(places["cnn"].read_text())
    assert [run["preset"] for run in report["runs"]] == ["reference", "default"]
    for run in report["runs"]:
        assert run["accuracy"] == sum(run["confusions"][i][i] for i in (0, 1)) / 2  # of the recording's two clips
        assert report["summary"][run["preset"]]["accuracy"] == run["accuracy"]
    assert len(list(tmp_path.glob("cnn_*.png"))) == 3
    work = tmp_path / "work"
    job("benchmark", "tune", *budget, "--num-trials", 2, "--work-dir", work, "--output", places["tune"])
    report = json.loads(places["tune"].read_text())
    assert 0 < report["share_outside_fit"] < 1
    assert len(report["fit_seconds"]) == 2
    assert not work.exists()


def test_the_benchmark_of_extra_clips_leaves_figures_and_a_table(
    local_ray, dataset_dir, extra_dir, tmp_path, monkeypatch
):
    small = CnnConfig(num_filters=4, min_steps=1, normalisation="dataset")
    monkeypatch.setitem(PRESETS, "default", small)
    places = {"dataset_dir": dataset_dir, "extra_clips": extra_dir, "output": tmp_path / "extra.json"}
    text = benchmark_extra(ExtraBenchmark(max_epochs=1, num_seeds=1, **{name: str(at) for name, at in places.items()}))
    assert (tmp_path / "extra.md").read_text() == text + "\n"
    report = json.loads((tmp_path / "extra.json").read_text())
    assert report["about"].startswith("16 training clips without and with 3 extra ones; tested on 4 clips")
    assert [run["training"] for run in report["runs"]] == ["without", "with"]
    gained = report["runs"][1]["accuracy"] - report["runs"][0]["accuracy"]
    assert report["summary"]["difference"]["accuracy"] == gained


def test_tune_learns_from_extra_clips_and_says_so_and_refuses_others_that_took_their_place(
    local_ray, dataset_dir, extra_dir, tmp_path
):
    shutil.copytree(extra_dir, tmp_path / "extra")
    config = TuneConfig(
        dataset_dir=str(dataset_dir),
        run_dir=str(tmp_path / "run"),
        extra_clips=str(tmp_path / "extra"),
        num_trials=1,
        max_epochs=1,
        num_members=0,
        only=TINY[1:],
    )
    metrics = tune_cnn(config)
    assert (metrics["num_extra_clips"], metrics["num_clips"], metrics["num_recordings"]) == (3, 4, 2)
    card = read_card(locate(tmp_path / "run" / "best_model.keras"))
    assert card.num_extra_clips == 3
    assert card.trained_on == "the training clips and 3 extra clips, not the validation clips"
    assert "; trained on 3 extra clips too" in write_report(config.run_dir)
    assert tune_cnn(config) == metrics | {"machine": describe_machine()}
    (tmp_path / "extra" / "low" / "any.wav").write_bytes(b"of another length")
    with pytest.raises(UserError, match="other settings: extra_clips_sha256="):
        tune_cnn(config)
    with pytest.raises(UserError, match="--extra-clips: .*/low/any.wav cannot be used .not readable as audio"):
        tune_cnn(replace(config, run_dir=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


def test_tune_leaves_a_model_that_carries_what_prediction_needs(cnn_run):
    card = read_card(locate(cnn_run / "best_model.keras"))
    assert card.classes == ["high", "low"]
    assert card.scores["split"] == "cross-validation over 2 parts, by recordings"
    assert (card.num_members, card.trained_on) == (2, "all labelled clips")
    assert card.network["num_filters"] == 4
    assert keras.models.load_model(cnn_run / "best_model.keras", safe_mode=True).output_shape == (None, 2)
    metrics = json.loads((cnn_run / "metrics.json").read_text())["cnn"]
    assert metrics["num_clips"] == 20  # every clip was held out once
    assert len(metrics["accuracy_by_fold"]) == 2
    assert metrics["temperature"] == card.temperature
    page = (cnn_run / "report.html").read_text()
    for picture in ("confusion_matrix", "figures/learning_curves", "figures/search_progress", "figures/reliability"):
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


def test_a_finished_search_is_not_repeated_and_other_settings_are_refused(job, cnn_run, dataset_dir, tmp_path):
    before = (cnn_run / "best_model.keras").stat().st_mtime_ns
    (tmp_path / "manifest.json").write_bytes((dataset_dir / "manifest.json").read_bytes())  # no clip is read again
    arguments = ["--dataset-dir", tmp_path, "--run-dir", cnn_run, "--num-trials", 2, "--num-members", 2]
    arguments += ["--num-folds", 2, *TINY]
    job("tune_cnn", *arguments, "--max-epochs", 2)
    assert (cnn_run / "best_model.keras").stat().st_mtime_ns == before
    refused = job("tune_cnn", *arguments, "--max-epochs", 3, expect=2)
    assert "cnn run with other settings: max_epochs=3 (there: 2); choose another --run-dir" in refused.stderr


def test_a_search_whose_driver_was_killed_keeps_its_finished_trials(job, local_ray, dataset_dir, tmp_path):
    run = tmp_path / "run"
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", run, "--num-trials", "3", "--max-epochs", "2"]
    arguments += ["--num-members", "0", *TINY]
    command = [sys.executable, "jobs/tune_cnn.py", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"RAY_ADDRESS": local_ray}) as first:
        deadline = time.monotonic() + 120
        while not (finished := list(run.glob("trials/*/checkpoint_*/predictions.npz"))):
            assert first.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.0)  # Ray Tune notes the trial's end
        first.kill()
    assert not (run / "metrics.json").exists()
    before = {path: path.stat().st_mtime_ns for path in finished}
    job("tune_cnn", *arguments)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a finished trial was trained again"
    trials = pd.read_csv(run / "trials.csv")
    assert len(trials) == 3
    assert trials["network"][0] == "residual"  # the preset, in whatever order the trials were taken up again
    assert {path.parent.parent.name for path in finished} <= set(trials["trial"])
    assert (run / "best_model.keras").is_file()


@pytest.mark.parametrize(
    ("only", "reason"),
    [
        (["learning_rate=1e30,0.001", "input_pooling=2"], "epoch 1: the loss is nan"),
        (["input_pooling=200,1"], "ValueError"),
    ],
    ids=["diverges", "crashes"],
)
def test_a_trial_that_fails_is_named_with_its_configuration_and_another_one_wins(
    job, dataset_dir, tmp_path, only, reason
):
    run = tmp_path / "run"
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", run, "--num-trials", 2, "--max-epochs", 1]
    arguments += ["--cpus-per-trial", 2]  # the second one takes over the first one's process
    done = job("tune_cnn", *arguments, "--num-members", 0, "--only", "num_filters=4", "min_steps=1", *only)
    failed, sound = pd.read_csv(run / "trials.csv").to_dict("records")
    assert reason in failed["state"]
    assert sound["state"] == "finished"
    assert f"trial {failed['trial']} failed: " in done.stderr
    assert "num_filters=4" in done.stderr
    metrics = json.loads((run / "metrics.json").read_text())["cnn"]
    assert metrics["trial"] == sound["trial"]
    assert metrics["num_failed_trials"] == 1


def test_predict_writes_the_samples_rows_in_its_order(job, cnn_run, unlabelled_dir, tmp_path):
    clips, sample, output = (tmp_path / name for name in ("clips", "sample.csv", "submission.csv"))
    shutil.copytree(unlabelled_dir, clips)
    shutil.copy(clips / "a.wav", clips / "=1.wav")
    sample.write_text("ID,Class\nc.wav,low\nbroken.wav,low\na.wav,low\nb.WAV,low\n=1.wav,low\nc.wav,low\n")
    arguments = ["--model", cnn_run / "best_model.keras", "--audio-dir", clips, "--output", output]
    done = job("predict", *arguments, "--sample-submission", sample)
    submission = pd.read_csv(output)
    assert submission.columns.tolist() == ["ID", "Class"]
    assert submission["ID"].tolist() == ["c.wav", "broken.wav", "a.wav", "b.WAV", "'=1.wav", "c.wav"]
    assert set(submission["Class"]) <= {"high", "low"}
    assert "1 clip(s) could not be read" in done.stdout
    assert pd.read_csv(f"{output}.unreadable.csv")["ID"].tolist() == ["broken.wav"]
    assert "exists: choose another, or --overwrite it" in job("predict", *arguments, expect=2).stderr
    job("predict", *arguments, "--probabilities", "--overwrite")
    table = pd.read_csv(output)
    assert table.columns.tolist() == ["ID", "Class", "probability_high", "probability_low"]
    assert max(len(cell) for cell in output.read_text().replace("\n", ",").split(",")) <= len("probability_high")
    sums = table.set_index("ID")[["probability_high", "probability_low"]].sum(axis=1)
    assert sums.round(3).to_dict() == {"'=1.wav": 1.0, "a.wav": 1.0, "b.WAV": 1.0, "broken.wav": 0.0, "c.wav": 1.0}


def test_elastic_workers_train_a_judged_generator_with_sounds_and_pictures_of_each_epoch(cgan_run):
    samples = {path.name for path in (cgan_run / "samples").iterdir()}
    assert samples == {f"{label}_ep{epoch}.wav" for label in ("high", "low") for epoch in (1, 2)}
    assert {path.name for path in (cgan_run / "spectrograms").iterdir()} == {"epoch_001.png", "epoch_002.png"}
    epochs = pd.read_csv(cgan_run / "cgan_epochs.csv")
    assert epochs["epoch"].tolist() == [1, 2]
    assert np.isfinite(epochs[["loss_D", "loss_G", "clips_per_s", "judge/accuracy", "judge/kernel"]]).all(axis=None)
    metrics = json.loads((cgan_run / "metrics.json").read_text())["cgan"]
    assert metrics["generator_epoch"] == epochs["judge/kernel"].idxmin() + 1
    assert set(metrics["judge"]["by_class"]) == set(metrics["floor"]["by_class"]) == {"high", "low"}
    assert metrics["judge"]["num_clips"] == 16  # eight of each class
    assert "not comparable with published FAD" in (cgan_run / "judge.txt").read_text()
    page = (cgan_run / "report.html").read_text()
    assert "figures/cgan_losses.png" in page
    assert f"{metrics['judge']['overall']['accuracy']:.3f}" in page


def test_a_training_whose_worker_and_then_driver_were_killed_ends_in_the_same_generator(
    job, local_ray, dataset_dir, uninterrupted, tmp_path
):
    run = tmp_path / "run"
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", run, *MANY_EPOCHS]
    command = [sys.executable, "jobs/train_cgan.py", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"RAY_ADDRESS": local_ray}) as driver:

        def wait_for(what):
            deadline = time.monotonic() + 120
            while not (found := what()):
                assert driver.poll() is None, "ended before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.05)
            return found

        def event_files(number):
            files = sorted((run / "tensorboard" / "cgan").glob("events*"))
            return files if len(files) == number else None

        wait_for(lambda: (run / "cgan_epochs.csv").exists() and len(pd.read_csv(run / "cgan_epochs.csv")) >= 3)
        (events,) = event_files(1)
        os.kill(int(events.name.split(".")[-2]), signal.SIGKILL)  # they are named for their process
        wait_for(lambda: event_files(2))  # another worker goes on
        time.sleep(2)
        driver.kill()
    assert not (run / "generator.safetensors").exists()
    job("train_cgan", *arguments)
    assert (run / "generator.safetensors").read_bytes() == uninterrupted
    assert pd.read_csv(run / "cgan_epochs.csv")["epoch"].tolist() == list(range(1, 21))


@pytest.mark.parametrize("name", ["tune_cnn", "train_cgan"])
def test_ctrl_c_ends_in_one_line_and_finishes_nothing(local_ray, dataset_dir, tmp_path, name):
    run = tmp_path / "run"
    command = [sys.executable, f"jobs/{name}.py", "--dataset-dir", str(dataset_dir), "--run-dir", str(run)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # not ignored, as in a background shell
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"RAY_ADDRESS": local_ray}, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(run.glob("*/cnn/*/events*")) + list(run.glob("samples/*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("error: interrupted; finished stages are kept")
    assert not (run / "metrics.json").exists()


def test_a_damaged_shard_ends_a_training_in_one_line(job, dataset_dir, tmp_path):
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    refused = job("train_cgan", "--dataset-dir", tmp_path / "dataset", "--run-dir", tmp_path / "run", expect=2)
    assert refused.stderr.splitlines()[-1].startswith("error: training stopped: ")
    assert "train/part-00000.parquet is damaged" in refused.stderr


def test_tensorboard_has_scalars_pictures_sounds_and_settings_of_the_training(cgan_run):
    events = events_of(cgan_run / "tensorboard" / "cgan")
    scalars = {"loss/loss_D", "loss/loss_G", "discriminator/accuracy_real", "gradient_norm/D", "speed/clips_per_s"}
    scalars |= {"memory/process_mib", "judge/accuracy", "judge/kernel", "judge_accuracy/high"}
    assert scalars <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Images("generated/spectrograms")] == [1, 2]
    assert {"generated/high", "generated/low"} <= set(events.Tags()["audio"])
    assert "config/text_summary" in events.Tags()["tensors"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_generate_makes_clips_and_lists_the_labels_it_knows(job, cgan_run, tmp_path):
    arguments = ["--generator", cgan_run / "generator.safetensors", "--output-dir", tmp_path, "--num-clips", 2]
    job("generate", *arguments, "--label", "low")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["low_0_000.wav", "low_0_001.wav"]
    refused = job("generate", *arguments, "--label", "cat", expect=2)
    assert "--label cat is not known to this generator; it makes high, low (or all)" in refused.stderr


def test_the_pipeline_does_all_of_it_in_one_run_folder_and_repeats_nothing(job, audio_dir, unlabelled_dir, tmp_path):
    sample, run = tmp_path / "sample.csv", tmp_path / "run"
    sample.write_text("ID\nc.wav\na.wav\n")
    arguments = [
        "--audio-dir",
        audio_dir,
        "--test-dir",
        unlabelled_dir,
        "--sample-submission",
        sample,
        "--run-dir",
        run,
    ]
    arguments += ["--preset", "reference", "--max-epochs", 1, "--epochs", 1, "--num-clips", 1]
    done = job("pipeline", *arguments)
    assert "validation clips of 2 recordings (recordings never heard in training)" in done.stdout
    assert "judge's accuracy:" in done.stdout
    assert f"--logdir {run}/tensorboard" in done.stdout
    for name in ("best_model.keras", "submission.csv", "generator.safetensors", "trials.csv", "generated.csv"):
        assert (run / name).is_file(), name
    assert pd.read_csv(run / "submission.csv")["ID"].tolist() == ["c.wav", "a.wav"]
    page = (run / "report.html").read_text()
    assert 'src="generated/high_0_000.wav"' in page
    audit = json.loads((run / "metrics.json").read_text())["cnn"]["audit"]
    assert audit["sentence"] in page
    assert 0 <= audit["recording_split_accuracy"] <= 1
    for link in ("confusion_matrix.png", "figures/cgan_losses.png", "spectrograms/epoch_001.png"):
        assert link in page
        assert (run / link).is_file()
    before = {path: path.stat().st_mtime_ns for path in run.glob("*.*") if path.name != "report.html"}
    assert job("pipeline", *arguments).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pipeline", ["--audio-dir", "nowhere"], "--audio-dir .*nowhere does not exist"),
        ("preprocess", ["--audio-dir", "nowhere", "--dataset-dir", "{tmp}/d"], "--audio-dir .*nowhere does not exist"),
        ("tune_cnn", ["--dataset-dir", "nowhere", "--run-dir", "{tmp}/r"], "nowhere holds no dataset"),
        (
            "tune_cnn",
            ["--dataset-dir", "{data}", "--run-dir", "{tmp}/r", "--use-gpu"],
            "--use-gpu .* the cluster has 0",
        ),
        (
            "train_cgan",
            ["--dataset-dir", "{data}", "--run-dir", "{tmp}/r", "--num-workers", "8"],
            "8 workers need a CPU core each, the cluster has 2",
        ),
        ("train_cgan", ["--dataset-dir", "nowhere", "--run-dir", "{tmp}/r"], "nowhere holds no dataset"),
        (
            "predict",
            ["--model", "nowhere.keras", "--audio-dir", "{data}", "--output", "{tmp}/s.csv"],
            "nowhere.keras does not exist",
        ),
        (
            "generate",
            ["--generator", "nowhere", "--label", "a", "--output-dir", "{tmp}/w"],
            "nowhere does not exist: jobs/train_cgan.py makes",
        ),
    ],
)
def test_bad_input_ends_in_one_clear_line(job, dataset_dir, tmp_path, name, arguments, message):
    filled = [argument.format(tmp=tmp_path, data=dataset_dir) for argument in arguments]
    refused = job(name, *filled, expect=2)
    lines = refused.stderr.strip().splitlines()
    assert len(lines) == 1, refused.stderr
    assert re.search(message, lines[0]), lines[0]
    assert not list(tmp_path.iterdir()), "nothing is left behind"
