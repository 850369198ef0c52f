"""The generator's jobs: trained, judged, killed and taken up again, heard."""

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest

from freqquest.cgan.distributed import Worker
from freqquest.cgan.training_loop import train_generator
from freqquest.storage import locate
from tests.cgan.conftest import CPU, threads, train_job
from tests.cnn.conftest import write_classifier
from tests.integration.conftest import events_of, start, wait_until

EPOCHS = "cgan_epochs.csv"


@pytest.fixture(scope="module")
def cgan_run(command, dataset_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cgan")
    judge = write_classifier(locate(folder / "judge.keras"), ["high", "low"])
    judged = ["--judge", judge, "--judge-every", 1, "--judge-clips", 2]
    workers = ["--epochs", 2, "--num-workers", "1:2"]
    command(
        "train_cgan", "--dataset-dir", dataset_dir, "--run-dir", folder / "run", *workers, *judged
    )
    return folder / "run"


def test_elastic_workers_train_a_judged_generator_with_sounds_and_pictures_of_each_epoch(cgan_run):
    samples = {path.name for path in (cgan_run / "samples").iterdir()}
    assert samples == {f"{label}_ep{epoch}.wav" for label in ("high", "low") for epoch in (1, 2)}
    assert {path.name for path in (cgan_run / "spectrograms").iterdir()} == {
        "epoch_001.png",
        "epoch_002.png",
    }
    epochs = pd.read_csv(cgan_run / EPOCHS)
    assert epochs["epoch"].tolist() == [1, 2]
    assert np.isfinite(
        epochs[["loss_D", "loss_G", "clips_per_s", "judge/accuracy", "judge/kernel"]]
    ).all(axis=None)
    metrics = json.loads((cgan_run / "metrics.json").read_text())["cgan"]
    assert metrics["generator_epoch"] == epochs["judge/kernel"].idxmin() + 1
    assert set(metrics["judge"]["by_class"]) == set(metrics["floor"]["by_class"]) == {"high", "low"}
    assert metrics["judge"]["num_clips"] == 16  # eight of each class
    assert "not comparable with published FAD" in (cgan_run / "judge.txt").read_text()
    page = (cgan_run / "report.html").read_text()
    assert "figures/cgan_losses.png" in page
    assert 'src="samples/high_ep2.wav"' in page
    assert f"{metrics['judge']['overall']['accuracy']:.3f}" in page


def test_tensorboard_has_scalars_pictures_sounds_and_settings_of_the_training(cgan_run):
    events = events_of(cgan_run / "tensorboard" / "cgan")
    scalars = {
        "loss/loss_D",
        "loss/loss_G",
        "discriminator/accuracy_real",
        "gradient_norm/D",
        "speed/clips_per_s",
    }
    scalars |= {"memory/process_mib", "judge/accuracy", "judge/kernel", "judge_accuracy/high"}
    assert scalars <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Images("generated/spectrograms")] == [1, 2]
    assert {"generated/high", "generated/low"} <= set(events.Tags()["audio"])
    assert "config/text_summary" in events.Tags()["tensors"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_a_training_whose_worker_and_then_driver_were_killed_ends_in_the_same_generator(
    job, local_ray, dataset_dir, tmp_path
):
    run = tmp_path / "run"
    arguments = [
        "--dataset-dir",
        dataset_dir,
        "--run-dir",
        run,
        "--epochs",
        10,
        "--sample-every",
        100,
    ]

    def event_files():
        return sorted((run / "tensorboard" / "cgan").glob("events*"))

    with start(local_ray, "train_cgan", *arguments) as driver:
        wait_until(driver, lambda: (run / EPOCHS).exists() and len(pd.read_csv(run / EPOCHS)) >= 3)
        (events,) = event_files()
        os.kill(int(events.name.split(".")[-2]), signal.SIGKILL)  # they are named for their process
        wait_until(driver, lambda: len(event_files()) == 2)  # another worker goes on
        driver.kill()
    assert not (run / "generator.safetensors").exists()
    job("train_cgan", *arguments)
    undisturbed = train_job(dataset_dir, tmp_path / "undisturbed", epochs=10, sample_every=100)
    with threads(2):  # as many as the cores of the session's Ray
        train_generator(undisturbed, Worker(), CPU, lambda *_: None)
    generators = [
        (folder / "generator.safetensors").read_bytes()
        for folder in (run, tmp_path / "undisturbed")
    ]
    assert generators[0] == generators[1]
    assert pd.read_csv(run / EPOCHS)["epoch"].tolist() == list(range(1, 11))


def test_a_damaged_shard_ends_a_training_in_one_line(job, dataset_dir, tmp_path):
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    refused = job(
        "train_cgan", "--dataset-dir", tmp_path / "dataset", "--run-dir", tmp_path / "run", expect=2
    )
    assert refused.stderr.splitlines()[-1].startswith("error: training stopped: ")
    assert "train/part-00000.parquet is damaged" in refused.stderr


def test_generate_makes_clips_and_lists_the_labels_it_knows(command, job, cgan_run, tmp_path):
    arguments = [
        "--generator",
        cgan_run / "generator.safetensors",
        "--output-dir",
        tmp_path,
        "--num-clips",
        2,
    ]
    command("generate", *arguments, "--label", "low")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["low_0_000.wav", "low_0_001.wav"]
    refused = job("generate", *arguments, "--label", "cat", expect=2)
    assert (
        "--label cat is not known to this generator; it makes high, low (or all)" in refused.stderr
    )
