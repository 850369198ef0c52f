"""A training that is killed or fails; `test_pipeline.py` shows what a training leaves."""

import os
import re
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import ray.train

from freqquest.cgan import train, train_worker
from freqquest.cgan.distributed import Worker
from freqquest.cgan.training_loop import run_training
from freqquest.runs.folder import read_sections
from freqquest.runs.layout import METRICS_NAME
from freqquest.storage import locate
from tests.cgan.conftest import CPU, threads, train_job
from tests.cnn.conftest import write_classifier
from tests.integration.conftest import start
from tests.servers import wait_until

EPOCHS = "cgan_epochs.csv"


@pytest.mark.slow
def test_a_training_whose_worker_and_then_driver_were_killed_ends_in_the_same_generator(
    job, local_ray, dataset_dir, tmp_path
):
    run, budget = tmp_path / "run", {"epochs": 6, "sample_every": 100}
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", run]
    for name, value in budget.items():
        arguments += [f"--{name.replace('_', '-')}", value]

    def event_files():
        return sorted((run / "tensorboard" / "cgan").glob("events*"))

    with start(local_ray, "train_cgan", *arguments) as driver:
        wait_until(driver, lambda: (run / EPOCHS).exists() and len(pd.read_csv(run / EPOCHS)) >= 2)
        (events,) = event_files()
        os.kill(int(events.name.split(".")[-2]), signal.SIGKILL)  # they are named for their process
        wait_until(driver, lambda: len(event_files()) == 2)  # another worker goes on
        driver.kill()
    assert not (run / "generator.safetensors").exists()
    job("train_cgan", *arguments)
    undisturbed = train_job(dataset_dir, tmp_path / "undisturbed", **budget)
    with threads(2):  # as many as the cores of the session's Ray
        run_training(undisturbed, Worker(), CPU, lambda *_: None)
    generators = [
        (folder / "generator.safetensors").read_bytes()
        for folder in (run, tmp_path / "undisturbed")
    ]
    assert generators[0] == generators[1]
    assert pd.read_csv(run / EPOCHS)["epoch"].tolist() == list(range(1, 7))


@pytest.mark.slow
def test_a_dataset_with_an_embedding_is_also_judged_in_its_vectors(
    job, embedded_dataset_dir, tmp_path
):
    model, run = tmp_path / "best_model.keras", tmp_path / "run"
    write_classifier(locate(model), ["high", "low"])
    few = ("--epochs", 1, "--judge-clips", 2)
    paths = ("--dataset-dir", embedded_dataset_dir, "--run-dir", run, "--judge", model)
    summary = job("train_cgan", *paths, *few).stdout
    assert re.search(r"of 16 are classified .*; kernel .*; by network.onnx: 100 x kernel", summary)
    metrics = read_sections(locate(run), METRICS_NAME)["cgan"]
    epoch = pd.read_csv(run / EPOCHS).iloc[0]
    assert np.isfinite(epoch[["judge/kernel", "embedding/kernel", "embedding/diversity"]]).all()
    assert metrics["embedding"]["judge"]["num_clips"] == metrics["judge"]["num_clips"] == 16
    assert epoch["judge/mixture_real"] == pytest.approx(metrics["mixture"]["baseline_of_epochs"])
    assert (run / "judge.txt").read_text().count("generated | real  ") == 2


def test_a_damaged_shard_ends_a_training_in_one_line(job, dataset_dir, tmp_path, monkeypatch):
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")

    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(train_worker, "get_device", lambda: CPU)
    corrupt = train_job(tmp_path / "dataset", tmp_path / "worker")
    result = train_worker._train_worker({"job": replace(corrupt, resources={"CPU": 1})})
    assert "train/part-00000.parquet is corrupt" in result["error"]

    monkeypatch.setattr(train, "_run_workers", lambda job: result)
    paths = ["--dataset-dir", tmp_path / "dataset", "--run-dir", tmp_path / "run"]
    refused = job("train_cgan", *paths, expect=2)
    assert refused.stderr.splitlines()[-1] == f"error: training stopped: {result['error']}"
