"""Several nodes: where work runs, and that a lost node costs only what it had not finished.

A process whose node will be lost is suspended first, so the speed of the machine does not matter.
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from freqquest.benchmark.one_core_nodes import one_core_nodes
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.write import write_dataset
from freqquest.storage import locate
from tests.conftest import write_clips
from tests.integration.conftest import (
    SAVE_EVERY_EVENT,
    TINY,
    ended_trials,
    events_of,
    start,
    trial_states,
)
from tests.servers import DEADLINE_S, running, wait_until

pytestmark = pytest.mark.slow

NUM_NODES = 2
CLIPS_PER_SHARD = 2
LOSS = "train/loss"


@pytest.fixture(scope="module")
def started_cluster():
    with pytest.MonkeyPatch.context() as patch:
        # After five failed checks, 3 s apart by default, a node is lost.
        patch.setenv("RAY_health_check_period_ms", "500")
        with one_core_nodes(NUM_NODES) as started:
            yield started


@pytest.fixture
def cluster(started_cluster):
    """A head that runs no tasks, and nodes of one core each."""
    while len(started_cluster.worker_nodes) < NUM_NODES:  # an earlier test lost one
        started_cluster.add_node(
            num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20
        )
    return started_cluster


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("audio") / "clips", num_recordings=12)


@pytest.fixture(scope="module")
def dataset_dir(local_ray, audio_dir, tmp_path_factory):
    """A dataset made on one node, undisturbed."""
    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir), dataset_dir=str(folder), clips_per_shard=CLIPS_PER_SHARD
        )
    )
    return folder


def run(cluster, name, *arguments):
    return start(cluster.address, name, *arguments, stdout=subprocess.DEVNULL)


def ends_well(job):
    """Wait for the job; return its standard error."""
    _, errors = job.communicate(timeout=DEADLINE_S)
    assert job.returncode == 0, errors
    return errors


def processes(node):
    """Return the node's worker processes by their number; the values are their titles."""
    titles = {}
    for process in psutil.Process(node.all_processes["raylet"][0].process.pid).children():
        with suppress(psutil.Error):  # it has just ended
            titles[process.pid] = " ".join(process.cmdline())
    return titles


def nodes_at(cluster, work):
    """Return the nodes on which a process has this work in the title that Ray gives it."""
    return {
        node
        for node in cluster.list_all_nodes()
        if any(title.startswith(f"ray::{work}") for title in processes(node).values())
    }


def node_of(cluster, process):
    return next(node for node in cluster.worker_nodes if process.pid in processes(node))


def writer_of(events):
    """Return the process that writes a TensorBoard log; the file is named for it."""
    return psutil.Process(int(events.name.removesuffix(".v2").split(".")[-2]))


def lose(cluster, node):
    workers = processes(node)
    cluster.remove_node(node, allow_graceful=False)
    for pid in workers:  # a suspended one does not notice
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()


def test_a_node_lost_while_preprocessing_costs_only_the_shards_that_it_was_making(
    cluster, audio_dir, dataset_dir, tmp_path
):
    folder, work, seen = tmp_path / "dataset", "FlatMap(_write_planned)", set()

    def finished():
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

    def is_under_way():
        seen.update(nodes_at(cluster, work))
        return seen == cluster.worker_nodes and len(finished()) >= NUM_NODES

    arguments = ["--audio-dir", audio_dir, "--dataset-dir", folder]
    with run(cluster, "preprocess", *arguments, "--clips-per-shard", CLIPS_PER_SHARD) as job:
        wait_until(job, is_under_way)
        lost = wait_until(job, lambda: nodes_at(cluster, work)).pop()
        before = finished()
        lose(cluster, lost)
        ends_well(job)
    shards = load_manifest(locate(folder)).shards
    assert len(before) < len(shards) - NUM_NODES, "the node was lost when little was left to do"
    assert {path: finished()[path] for path in before} == before, "a finished shard was made again"
    assert shards == load_manifest(locate(dataset_dir)).shards


def test_a_node_lost_during_the_search_costs_only_its_trial(
    cluster, dataset_dir, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", folder, "--num-members", 0, *TINY]
    budget = ["--num-trials", 2, "--max-epochs", 30]
    monkeypatch.setenv(*SAVE_EVERY_EVENT)

    def logs():
        return {path.parent.name: path for path in folder.glob("tensorboard/cnn/*/events*")}

    def epochs_logged(trial):
        events = events_of(folder / "tensorboard" / "cnn" / trial)
        losses = events.Tensors(LOSS) if LOSS in events.Tags()["tensors"] else []
        return [event.step for event in losses]

    def preset_that_has_logged():
        """The preset is the first trial, and the only one that always runs to its end."""
        first = list(trial_states(folder))[:1]
        return [trial for trial in first if trial in logs() and epochs_logged(trial)]

    with run(cluster, "tune_cnn", *budget, *arguments) as job:
        (lost,) = wait_until(job, preset_that_has_logged)
        process = writer_of(logs()[lost])
        process.suspend()
        kept = wait_until(job, lambda: ended_trials(folder))
        assert lost not in kept
        before = logs()
        node = node_of(cluster, process)
        assert node != node_of(cluster, writer_of(before[kept[0]]))
        lose(cluster, node)
        errors = ends_well(job)
    assert "2/2 trials done, 1 lost and resumed" in errors
    trials = pd.read_csv(folder / "trials.csv").set_index("trial")
    assert set(trials.index) == set(logs())
    assert len(trials) == 2
    assert set(trials["state"]) <= {"finished", "stopped early"}
    changed = {trial for trial, events in before.items() if logs()[trial] != events}
    assert changed == {lost}, "another trial than the lost one was repeated"
    assert epochs_logged(lost) == list(range(1, 31)), "the lost attempt's curve is still there"


def test_a_node_lost_during_training_leaves_fewer_workers_that_go_on_from_the_last_checkpoint(
    cluster, dataset_dir, tmp_path
):
    folder, worker, num_epochs = tmp_path / "run", "RayTrainWorker", 6
    arguments = ["--dataset-dir", dataset_dir, "--run-dir", folder, "--epochs", num_epochs]
    elastic = ["--num-workers", f"1:{NUM_NODES}", "--sample-every", 100]

    def epochs():
        path = folder / "cgan_epochs.csv"
        return pd.read_csv(path) if path.exists() else []

    def logs():
        return sorted(folder.glob("tensorboard/cgan/events*"))

    with run(cluster, "train_cgan", *arguments, *elastic) as job:
        wait_until(job, lambda: list(folder.glob("checkpoints/epoch_000001*.pt")))
        (events,) = logs()
        process = writer_of(events)
        process.suspend()  # the other worker waits for it
        assert nodes_at(cluster, worker) == cluster.worker_nodes
        for watcher in (
            "_run_workers",
            "TrainController",
            "_QueueActor",
            "_AutoscalingCoordinatorActor",
        ):
            assert nodes_at(cluster, watcher) == {cluster.head_node}, watcher
        first = epochs().iloc[0]
        lose(cluster, node_of(cluster, process))
        wait_until(job, lambda: len(logs()) > 1)
        assert nodes_at(cluster, worker) == cluster.worker_nodes
        errors = ends_well(job)
    others = f"starting 1 to {NUM_NODES} worker(s) with 1 CPU each"
    assert f"worker 0: its process or node was lost; {others}" in errors
    assert epochs()["epoch"].tolist() == list(range(1, num_epochs + 1))
    # Its seconds too: it was not trained again.
    pd.testing.assert_series_equal(epochs().iloc[0], first)


def test_a_folder_that_a_node_has_for_itself_is_refused_before_any_work(
    cluster, audio_dir, tmp_path
):
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this machine does not let us make namespaces")
    hidden = " && ".join(f"mount -t tmpfs none {folder}" for folder in (tmp_path, "/tmp/ray"))
    ray_start = f"{Path(sys.executable).parent / 'ray'} start --block --num-cpus 1"
    memory = f"--object-store-memory {100 * 2**20} --address {cluster.address}"
    node = [*namespace, "sh", "-c", f"{hidden} && exec {ray_start} {memory}"]

    def has_joined():
        return sum(node["Alive"] for node in cluster.global_state.node_table()) == NUM_NODES + 2

    with running(node, dict(os.environ), has_joined):
        arguments = ["--audio-dir", audio_dir, "--dataset-dir", tmp_path / "dataset"]
        with run(cluster, "preprocess", *arguments) as job:
            _, errors = job.communicate(timeout=DEADLINE_S)
    assert job.returncode == 2, errors
    assert f"{NUM_NODES + 2} node(s): {NUM_NODES + 1} cores, 0 GPUs" in errors
    last_line = errors.splitlines()[-1]
    assert f"--dataset-dir: cannot write {tmp_path / 'dataset'} on node " in last_line
    assert "give a path that all nodes share (NFS, EFS), or a URI (s3://)" in last_line
    assert not list(tmp_path.iterdir())
