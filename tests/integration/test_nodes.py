"""Several nodes: where work runs, and that a lost node costs nothing but what it had not finished."""

import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest

from freqquest.benchmark.one_core_nodes import one_core_nodes
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.conftest import write_clips
from tests.integration.conftest import TINY, events_of, start, wait_until
from tests.servers import running

NUM_NODES = 3
EPOCHS = "cgan_epochs.csv"
LOSS = "train/loss"


@pytest.fixture
def cluster():
    """A head that takes no work, and three nodes of one core each."""
    with one_core_nodes(NUM_NODES) as started:
        yield started


@pytest.fixture(scope="module")
def audio_dir(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("audio") / "clips", num_recordings=20)


@pytest.fixture(scope="module")
def dataset_dir(audio_dir, tmp_path_factory):
    """Made by one machine, undisturbed."""
    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    with start(
        "local", "preprocess", *preprocess_arguments(audio_dir, folder), stdout=subprocess.DEVNULL
    ) as job:
        ends_well(job)
    return folder


def run(cluster, name, *arguments):
    return start(cluster.address, name, *arguments, stdout=subprocess.DEVNULL)


def ends_well(job):
    """What it said on standard error."""
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors
    return errors


def preprocess_arguments(audio_dir, folder):
    return ["--audio-dir", audio_dir, "--dataset-dir", folder, "--clips-per-shard", 2]


def processes(node):
    """Those that do a node's work, by their number: what each is at."""
    raylet = node.all_processes["raylet"][0].process.pid
    children = chain.from_iterable(
        read(path).split() for path in Path(f"/proc/{raylet}/task").glob("*/children")
    )
    return {int(child): read(Path(f"/proc/{child}/cmdline")) for child in children}


def read(path):
    """Of a process; nothing, where it has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def nodes_at(cluster, work):
    """The nodes where something is done now, by the title that Ray gives to a process."""
    return {
        node
        for node in cluster.list_all_nodes()
        if any(title.startswith(f"ray::{work}") for title in processes(node).values())
    }


def node_of(cluster, process):
    return next(node for node in cluster.worker_nodes if process in processes(node))


def writer_of(events):
    """The process that writes a TensorBoard log, which is named for it."""
    return int(events.name.removesuffix(".v2").split(".")[-2])


def lose(cluster, node):
    cluster.remove_node(node, allow_graceful=False)


def test_a_node_lost_while_preprocessing_costs_only_the_shards_that_it_was_making(
    cluster, audio_dir, dataset_dir, tmp_path
):
    folder, work, seen = tmp_path / "dataset", "Map(_write_planned)", set()

    def finished():
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

    def is_under_way():
        seen.update(nodes_at(cluster, work))
        return seen == cluster.worker_nodes and len(finished()) >= NUM_NODES

    with run(cluster, "preprocess", *preprocess_arguments(audio_dir, folder)) as job:
        wait_until(job, is_under_way)
        lost = wait_until(job, lambda: nodes_at(cluster, work)).pop()
        before = finished()
        lose(cluster, lost)
        ends_well(job)
    shards = load_manifest(locate(folder)).shards
    assert len(before) < len(shards) - NUM_NODES, (
        "the node was lost when there was little left to do"
    )
    assert {path: finished()[path] for path in before} == before, "a finished shard was made again"
    assert shards == load_manifest(locate(dataset_dir)).shards


def test_a_node_lost_during_the_search_costs_only_its_trial(cluster, dataset_dir, tmp_path):
    folder, num_trials, seen = tmp_path / "run", 4, set()
    arguments = [
        "--dataset-dir",
        dataset_dir,
        "--run-dir",
        folder,
        "--num-trials",
        num_trials,
        "--max-epochs",
        30,
    ]

    def logs():
        return {path.parent.name: path for path in folder.glob("tensorboard/cnn/*/events*")}

    def epochs_logged(trial):
        events = events_of(folder / "tensorboard" / "cnn" / trial)
        return (
            [event.step for event in events.Tensors(LOSS)]
            if LOSS in events.Tags()["tensors"]
            else []
        )

    def finished():
        files = folder.glob("trials/*/checkpoint_*/predictions.npz")
        return {path.parent.parent.name: path.stat().st_mtime_ns for path in files}

    def one_is_done_and_all_have_begun():
        seen.update(nodes_at(cluster, "ImplicitFunc.train"))
        return finished() and len(logs()) == num_trials and all(map(epochs_logged, logs()))

    with run(cluster, "tune_cnn", *arguments, "--num-members", 0, *TINY) as job:
        wait_until(job, one_is_done_and_all_have_begun)
        before, kept = logs(), finished()
        lost = max(before.keys() - kept.keys(), key=lambda trial: before[trial].stat().st_ctime_ns)
        lose(cluster, node_of(cluster, writer_of(before[lost])))
        errors = ends_well(job)
    assert len(seen) > 1, "all trials ran on one node"
    assert "4/4 trials done, 1 lost and begun again" in errors
    trials = pd.read_csv(folder / "trials.csv").set_index("trial")
    assert set(trials.index) == set(before)
    assert set(trials["state"]) <= {"finished", "stopped early"}
    assert {trial: finished()[trial] for trial in kept} == kept, "a finished trial was repeated"
    assert {trial for trial, events in logs().items() if events != before[trial]} == {lost}
    assert epochs_logged(lost) == list(range(1, trials["epochs"][lost] + 1)), (
        "the lost attempt's curve is still there"
    )


def test_a_node_lost_during_training_leaves_fewer_workers_that_go_on_from_the_last_checkpoint(
    cluster, dataset_dir, tmp_path
):
    folder, worker = tmp_path / "run", "RayTrainWorker"
    arguments = [
        "--dataset-dir",
        dataset_dir,
        "--run-dir",
        folder,
        "--num-workers",
        f"1:{NUM_NODES}",
        "--epochs",
        10,
    ]

    def epochs():
        return pd.read_csv(folder / EPOCHS) if (folder / EPOCHS).exists() else []

    def logs():
        return sorted(folder.glob("tensorboard/cgan/events*"))

    with run(cluster, "train_cgan", *arguments, "--sample-every", 100) as job:
        wait_until(job, lambda: len(epochs()) >= 2)
        assert nodes_at(cluster, worker) == cluster.worker_nodes
        for watcher in (
            "_run_workers",
            "TrainController",
            "_QueueActor",
            "_AutoscalingCoordinatorActor",
        ):
            assert nodes_at(cluster, watcher) == {cluster.head_node}, watcher
        first = epochs().iloc[0]
        (events,) = logs()
        lose(cluster, node_of(cluster, writer_of(events)))
        wait_until(job, lambda: len(logs()) > 1)
        assert nodes_at(cluster, worker) == cluster.worker_nodes
        errors = ends_well(job)
    assert (
        f"worker 0: its process or node was lost; 1 to {NUM_NODES} worker(s) with 1 CPU each begin when"
        in errors
    )
    assert epochs()["epoch"].tolist() == list(range(1, 11))
    pd.testing.assert_series_equal(
        epochs().iloc[0], first
    )  # its seconds too: it was not trained again


def test_a_folder_that_a_node_has_for_itself_is_refused_before_any_work(
    cluster, audio_dir, tmp_path
):
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make namespaces")
    hidden = " && ".join(f"mount -t tmpfs none {folder}" for folder in (tmp_path, "/tmp/ray"))
    ray_start = f"{Path(sys.executable).parent / 'ray'} start --block --num-cpus 1 --object-store-memory {100 * 2**20}"
    node = [*namespace, "sh", "-c", f"{hidden} && exec {ray_start} --address {cluster.address}"]

    def has_joined():
        return sum(node["Alive"] for node in cluster.global_state.node_table()) == NUM_NODES + 2

    with running(node, dict(os.environ), has_joined):
        arguments = ["--audio-dir", audio_dir, "--dataset-dir", tmp_path / "dataset"]
        with run(cluster, "preprocess", *arguments) as job:
            _, errors = job.communicate(timeout=120)
    assert job.returncode == 2, errors
    assert "5 node(s): 4 cores, 0 GPUs" in errors
    assert f"--dataset-dir: cannot write {tmp_path / 'dataset'} on node " in errors.splitlines()[-1]
    assert (
        "give a path that all nodes share (NFS, EFS), or a URI (s3://)" in errors.splitlines()[-1]
    )
    assert not list(tmp_path.iterdir())
