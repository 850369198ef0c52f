"""What a job is refused for before it begins, and the table that says so."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from freqquest.cluster import preflight
from freqquest.cluster.node_check import Places, Report, look_from
from freqquest.cluster.preflight import check, require, table
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.servers import refusing_server


def problem_of(requirements):
    with pytest.raises(UserError) as refused:
        require(check(requirements))
    return str(refused.value)


def test_a_job_that_can_be_done_is_told_of_in_words_and_leaves_nothing_behind(local_ray, tmp_path):
    (tmp_path / "clips").mkdir()
    requirements = Requirements(
        reads={"--audio-dir": str(tmp_path / "clips")},
        writes={"--run-dir": str(tmp_path / "a" / "run")},
    )
    rows = check(requirements)
    require(rows)
    lines = table(rows).splitlines()
    assert [line.split()[0] for line in lines] == [
        "preflight",
        "resources",
        *requirements.reads,
        *requirements.writes,
        "versions",
        "free",
    ]
    assert "1 node(s): 2 cores, 0 GPUs" in lines[1]
    assert all(line.endswith("ok") for line in lines[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_all_problems_are_named_each_in_a_line(local_ray):
    requirements = Requirements(writes={"--run-dir": "/proc/run"}, num_workers=3, use_gpu=True)
    gpus, folder = problem_of(requirements).splitlines()
    assert gpus.startswith(
        "--use-gpu with 3 worker(s) needs 3 GPU(s), the cluster has 0: leave out --use-gpu"
    )
    assert folder.startswith("--run-dir: cannot write /proc/run on node ")
    assert table(check(requirements)).count("PROBLEM") == 2


def test_a_bucket_that_does_not_exist_is_refused(local_ray, s3_clips):
    problem = problem_of(
        Requirements(reads={"--audio-dir": s3_clips}, writes={"--run-dir": "s3://nowhere/run"})
    )
    assert problem.startswith("--run-dir: cannot write s3://nowhere/run on node ")
    assert problem.endswith(": The specified bucket does not exist")


def test_a_bucket_that_refuses_is_refused(local_ray, s3_clips, monkeypatch):
    with refusing_server(403, "Access Denied", ("GET", "HEAD", "PUT", "POST")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        requirements = Requirements(
            reads={"--dataset-dir": "s3://closed/clips"}, writes={"--run-dir": "s3://closed/run"}
        )
        reading, writing = problem_of(requirements).splitlines()
    assert reading.startswith("--dataset-dir: cannot read s3://closed/clips on node ")
    assert writing.startswith("--run-dir: cannot write s3://closed/run on node ")
    assert writing.endswith("Access Denied")


def test_storage_without_room_is_refused_in_its_own_words(local_ray, s3_clips, monkeypatch):
    with refusing_server(507, "Storage is full", ("PUT", "POST")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert problem_of(Requirements(writes={"--run-dir": "s3://full/run"})).endswith(
            "Storage is full"
        )
        with pytest.raises(OSError, match="Storage is full"):
            (locate("s3://full/run") / "a.txt").write_text("text")


def test_storage_that_cannot_be_reached_is_refused(local_ray, s3_clips, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "Could not connect to server" in problem_of(
        Requirements(writes={"--run-dir": "s3://away/run"})
    )


def test_what_ray_reads_at_its_import_is_set_before():
    code = (
        "import sys; from freqquest import cluster, preflight; from freqquest.cluster.requirements import Needs\n"
        "cluster.prepare_environment = lambda: sys.exit('too late' if 'ray' in sys.modules else 0)\n"
        "preflight.connect(Needs())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def reports(local_ray, tmp_path):
    """What two nodes say that see the same."""
    places = Places({"--audio-dir": locate(tmp_path)}, {}, "probe")
    return [look_from(places, node) for node in ("10.0.0.1", "10.0.0.2")]


def test_a_node_with_another_package_is_named(reports):
    assert preflight._versions(reports).found == "the same on all 2 nodes"
    other = replace(reports[1], versions=reports[1].versions | {"torch": "2.4.0", "keras": "none"})
    row = preflight._versions([reports[0], other])
    assert "node 10.0.0.2 has keras none, torch 2.4.0, the job's driver Python 3." in row.problem
    lost = Report(node="10.0.0.3", lost="ModuleNotFoundError: No module named 'pyarrow'")
    assert (
        "node 10.0.0.3 cannot run tasks (ModuleNotFoundError: No module"
        in preflight._versions([*reports, lost]).problem
    )


def test_a_node_that_sees_another_folder_of_that_name_is_named(reports, tmp_path):
    (tmp_path / ".hidden").touch()
    hidden = look_from(Places({"--audio-dir": locate(tmp_path)}, {}, "probe"), "10.0.0.3")
    assert (
        preflight._storage("--audio-dir", "read /x", [*reports, hidden]).found == "all 3 nodes can"
    )
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))).touch()  # a name that is no UTF-8
    later = look_from(Places({"--audio-dir": locate(tmp_path)}, {}, "probe"), "10.0.0.3")
    assert preflight._storage("--audio-dir", "read /x", reports).found == "all 2 nodes can"
    problem = preflight._storage("--audio-dir", "read /x", [*reports, later]).problem
    assert problem.startswith(
        "--audio-dir: cannot read /x on node 10.0.0.3: this node has another folder of that name"
    )


def test_a_node_whose_disk_is_full_is_named(reports):
    problem = preflight._disk([reports[0], replace(reports[1], free_bytes=10**8)]).problem
    assert problem.startswith(f"free disk: 0.1 GB in {tempfile.gettempdir()} on node 10.0.0.2")


def test_a_dry_run_also_tells_of_what_is_not_there(local_ray, tmp_path):
    requirements = Requirements(reads={"--model": str(tmp_path / "best_model.keras")})
    require(check(requirements))  # the job itself says more of it
    with pytest.raises(
        UserError, match="--model: cannot read .*best_model.keras: there is nothing"
    ):
        require(check(requirements, must_exist=True))
