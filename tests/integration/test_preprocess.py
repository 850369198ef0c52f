"""The dataset's job: what it leaves, what it refuses, what it goes on from."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.integration.conftest import ROOT


@pytest.fixture(scope="module")
def dataset_dir(command, audio_dir, unlabeled_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "dataset"
    command(
        "preprocess", "--audio-dir", audio_dir, "--dataset-dir", folder, "--test-dir", unlabeled_dir
    )
    return folder


def test_preprocess_writes_the_dataset(dataset_dir):
    assert {path.name for path in dataset_dir.iterdir()} == {
        "manifest.json",
        "quarantine.csv",
        "figures",
        "train",
        "validation",
        "test",
    }


def test_preprocess_again_changes_nothing_and_needs_no_ray(dataset_dir, audio_dir, unlabeled_dir):
    arguments = [
        "--audio-dir",
        audio_dir,
        "--dataset-dir",
        dataset_dir,
        "--test-dir",
        unlabeled_dir,
    ]
    done = subprocess.run(
        [sys.executable, "jobs/preprocess.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "rows: 16 train, 4 validation, 3 test" in done.stdout


def test_verify_names_damaged_shards_and_fails(command, dataset_dir, tmp_path):
    assert (
        "3 shards are whole"
        in command("preprocess", "--dataset-dir", dataset_dir, "--verify").stdout
    )
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = command("preprocess", "--dataset-dir", tmp_path / "dataset", "--verify", expect=2)
    assert f"{shard} is damaged" in done.stderr


def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on(job, audio_dir, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]).returncode != 0
    ):
        pytest.skip("a small disk can be mounted only by root")
    try:
        arguments = [
            "--audio-dir",
            audio_dir,
            "--dataset-dir",
            disk / "dataset",
            "--clips-per-shard",
            4,
        ]
        done = job("preprocess", *arguments, expect=1)
        assert re.fullmatch(
            r"error: .*/part-0000\d.parquet cannot be made: No space left .*",
            done.stderr.splitlines()[-1],
        )
        assert not (disk / "dataset" / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert "16 train, 4 validation" in job("preprocess", *arguments).stdout
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_benchmark_of_preprocessing_leaves_figures_and_a_table(job, audio_dir, tmp_path):
    settings = {
        "num-clips": 40,
        "num-naive-clips": 4,
        "num-runs": 1,
        "memory-clips": 20,
        "work-dir": tmp_path / "work",
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    done = job(
        "benchmark",
        "preprocess",
        "--audio-dir",
        audio_dir,
        "--output",
        tmp_path / "figures.json",
        *flags,
    )
    report = json.loads((tmp_path / "figures.json").read_text())
    assert all(value > 0 for value in report["medians"].values())
    assert report["medians"].keys() == {
        *("naive", "limit", "freqquest", "read", "command_s", "same_command_again_s")
    }
    assert report["runs"]["peak_memory_mib"]["20"] > 50
    assert (tmp_path / "figures.md").read_text() in done.stdout + "\n"
    assert not (tmp_path / "work").exists()
