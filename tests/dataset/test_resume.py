"""Killed jobs: the same command completes them, with the bytes of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate

KILLED_AT = {
    "before the first shard": "freqquest.dataset.write.preflight.connect = die",
    "after some shards": "freqquest.dataset.write.Progress.update = die_at_third_call",
    "before the figures": "freqquest.dataset.figures.draw_figures = die",
    "before the manifest": "freqquest.dataset.write.Manifest.save = die",
    "after the manifest": "freqquest.storage.Location.remove_file = die_after_the_manifest",
}

SCRIPT = """
import itertools, os, signal
import freqquest.dataset.figures, freqquest.dataset.write
from freqquest.dataset.config import PreprocessConfig

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

calls = itertools.count(1)
def die_at_third_call(*_):
    if next(calls) == 3:
        die()

def die_after_the_manifest(location):
    if (location.parent / "manifest.json").is_file():
        die()

{change}
freqquest.dataset.write.write_dataset(PreprocessConfig(**{settings}))
"""


def settings(audio_dir, folder, **more):
    return {"audio_dir": str(audio_dir), "dataset_dir": str(folder), "clips_per_shard": 3} | more


def run_until_killed(change, settings, address):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(change=change, settings=settings)],
        env=os.environ | {"RAY_ADDRESS": address},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def uninterrupted(local_ray, audio_dir, tmp_path_factory):
    return write_dataset(
        PreprocessConfig(
            **settings(audio_dir, tmp_path_factory.mktemp("uninterrupted") / "dataset")
        )
    )


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_killed_job_keeps_its_shards_and_gives_the_same_dataset_when_run_again(
    point, uninterrupted, local_ray, audio_dir, tmp_path
):
    arguments = settings(audio_dir, tmp_path / "dataset")
    run_until_killed(KILLED_AT[point], arguments, local_ray)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*.parquet")}
    if point not in ("before the first shard", "after some shards"):
        assert len(kept) == len(uninterrupted.shards)
    elif point == "after some shards":
        assert len(kept) >= 2
    assert write_dataset(PreprocessConfig(**arguments)) == uninterrupted
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert load_manifest(locate(tmp_path / "dataset")) == uninterrupted
    assert not (tmp_path / "dataset" / "unfinished.json").exists()


def busy_workers():
    """Return Ray's worker processes that run a preprocessing task, which names their process."""
    processes = psutil.process_iter(["cmdline"])
    return [
        process
        for process in processes
        if "_write_planned" in "".join(process.info["cmdline"] or [])[:200]
    ]


def test_killed_workers_do_not_change_the_dataset(uninterrupted, local_ray, audio_dir, tmp_path):
    script = SCRIPT.format(change="", settings=settings(audio_dir, tmp_path / "dataset"))
    with subprocess.Popen(
        [sys.executable, "-c", script], env=os.environ | {"RAY_ADDRESS": local_ray}
    ) as job:
        killed = []
        while not killed and job.poll() is None:
            killed = busy_workers()
            time.sleep(0.01)
        for worker in killed:
            worker.kill()
        assert job.wait(timeout=120) == 0
    assert killed
    assert load_manifest(locate(tmp_path / "dataset")) == uninterrupted


def test_an_interrupted_dataset_cannot_be_resumed_with_other_settings(
    local_ray, audio_dir, tmp_path
):
    arguments = settings(audio_dir, tmp_path / "dataset")
    run_until_killed(KILLED_AT["before the manifest"], arguments, local_ray)
    with pytest.raises(UserError, match=r"holds an interrupted dataset made differently: seed=5"):
        write_dataset(PreprocessConfig(**arguments | {"seed": 5}))
    assert (
        write_dataset(PreprocessConfig(**arguments | {"seed": 5, "overwrite": True})).settings[
            "seed"
        ]
        == 5
    )


def test_only_a_removed_shard_is_made_again(local_ray, audio_dir, tmp_path):
    arguments = settings(audio_dir, tmp_path / "dataset")
    manifest = write_dataset(PreprocessConfig(**arguments))
    shards = [tmp_path / "dataset" / shard.path for shard in manifest.shards]
    shards[1].unlink()
    times = {path: path.stat().st_mtime_ns for path in shards if path.exists()}
    assert write_dataset(PreprocessConfig(**arguments)) == manifest
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert shards[1].stat().st_size == manifest.shards[1].num_bytes
