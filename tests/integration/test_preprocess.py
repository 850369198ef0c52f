"""The preprocess job: what it refuses, how it recovers, and its benchmark."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.integration.conftest import ROOT


def test_the_same_command_again_changes_nothing_and_needs_no_ray(
    dataset_dir, audio_dir, unlabeled_dir
):
    arguments = ["--audio-dir", audio_dir, "--dataset-dir", dataset_dir]
    settings = ["--test-dir", unlabeled_dir, "--num-augmented-copies", 1, "--clips-per-shard", 7]
    done = subprocess.run(
        [sys.executable, "jobs/preprocess.py", *map(str, arguments + settings)],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "rows: 32 train, 4 validation, 3 test" in done.stdout
    assert {path.name for path in dataset_dir.iterdir()} == {
        "manifest.json",
        "quarantine.csv",
        "figures",
        "train",
        "validation",
        "test",
    }


def test_verify_names_damaged_shards_and_fails(job, dataset_dir, tmp_path):
    whole = job("preprocess", "--dataset-dir", dataset_dir, "--verify")
    assert "all 7 shards match their SHA-256" in whole.stdout
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = job("preprocess", "--dataset-dir", tmp_path / "dataset", "--verify", expect=2)
    assert f"{shard} is corrupt" in done.stderr


def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on(job, audio_dir, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount).returncode != 0:
        pytest.skip("a small disk can be mounted only by root")
    try:
        arguments = ["--audio-dir", audio_dir, "--dataset-dir", disk / "dataset"]
        done = job("preprocess", *arguments, "--clips-per-shard", 4, expect=1)
        assert re.fullmatch(
            r"error: .*/part-0000\d.parquet cannot be made: No space left .*",
            done.stderr.splitlines()[-1],
        )
        assert not (disk / "dataset" / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        done = job("preprocess", *arguments, "--clips-per-shard", 4)
        assert "16 train, 4 validation" in done.stdout
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_the_benchmark_of_preprocessing_writes_metrics_and_a_table(job, audio_dir, tmp_path):
    paths = ["--audio-dir", audio_dir, "--work-dir", tmp_path / "work"]
    paths += ["--output", tmp_path / "figures.json"]
    few = ["--num-clips", 20, "--num-naive-clips", 2, "--memory-clips", 20, "--num-runs", 1]
    few += ["--plan-files", 1_000]
    done = job("benchmark", "preprocess", *paths, *few)
    report = json.loads((tmp_path / "figures.json").read_text())
    assert all(value > 0 for value in report["medians"].values())
    assert report["medians"].keys() == {
        *("naive", "limit", "freqquest", "windows", "short_files", "read"),
        *("command_s", "same_command_again_s"),
    }
    assert report["plan"]["num_files"] == 1_000
    assert report["plan"]["num_classes"] == 10
    assert 0 < report["plan"]["seconds"] < 60
    assert report["plan"]["peak_memory_mib"] > 50
    assert report["runs"]["peak_memory_mib"]["20"] > 50
    assert (tmp_path / "figures.md").read_text() in done.stdout + "\n"
    assert not (tmp_path / "work").exists()
