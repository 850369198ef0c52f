"""A job killed at any point: the same command finishes it, with the rows and bytes of an undisturbed run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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

def die_after_the_manifest(place):
    if (place.parent / "manifest.json").is_file():
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
def undisturbed(local_ray, audio_dir, tmp_path_factory):
    return write_dataset(
        PreprocessConfig(**settings(audio_dir, tmp_path_factory.mktemp("undisturbed") / "dataset"))
    )


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_killed_job_run_again_keeps_its_shards_and_gives_the_same_dataset(
    point, undisturbed, local_ray, audio_dir, tmp_path
):
    arguments = settings(audio_dir, tmp_path / "dataset")
    run_until_killed(KILLED_AT[point], arguments, local_ray)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*.parquet")}
    if point not in ("before the first shard", "after some shards"):
        assert len(kept) == len(undisturbed.shards)
    elif point == "after some shards":
        assert len(kept) >= 2
    assert write_dataset(PreprocessConfig(**arguments)) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert load_manifest(locate(tmp_path / "dataset")) == undisturbed
    assert not (tmp_path / "dataset" / "unfinished.json").exists()


def workers_at_work():
    """Process ids of Ray's workers that are in a preprocessing task."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"_write_planned" in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                found.append(int(folder.name))
    return found


def test_workers_that_are_killed_cost_only_their_own_shards(
    undisturbed, local_ray, audio_dir, tmp_path
):
    script = SCRIPT.format(change="", settings=settings(audio_dir, tmp_path / "dataset"))
    with subprocess.Popen(
        [sys.executable, "-c", script], env=os.environ | {"RAY_ADDRESS": local_ray}
    ) as job:
        killed = []
        while not killed and job.poll() is None:
            killed = workers_at_work()
            time.sleep(0.01)
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        assert job.wait(timeout=120) == 0
    assert killed
    assert load_manifest(locate(tmp_path / "dataset")) == undisturbed


def test_an_interrupted_dataset_is_not_continued_with_other_settings(
    local_ray, audio_dir, tmp_path
):
    arguments = settings(audio_dir, tmp_path / "dataset")
    run_until_killed(KILLED_AT["before the manifest"], arguments, local_ray)
    with pytest.raises(
        UserError, match=r"holds an interrupted dataset made differently: seed=5 \(there: 0\)"
    ):
        write_dataset(PreprocessConfig(**arguments | {"seed": 5}))
    assert (
        write_dataset(PreprocessConfig(**arguments | {"seed": 5, "overwrite": True})).settings[
            "seed"
        ]
        == 5
    )


def test_a_shard_that_was_removed_is_made_again_alone(local_ray, audio_dir, tmp_path):
    arguments = settings(audio_dir, tmp_path / "dataset")
    manifest = write_dataset(PreprocessConfig(**arguments))
    shards = [tmp_path / "dataset" / shard.path for shard in manifest.shards]
    shards[1].unlink()
    times = {path: path.stat().st_mtime_ns for path in shards if path.exists()}
    assert write_dataset(PreprocessConfig(**arguments)) == manifest
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert shards[1].stat().st_size == manifest.shards[1].num_bytes
