"""Checks before a job begins, and the table that shows them."""

import subprocess
import sys
import tempfile
from dataclasses import replace

import pytest
import ray

from freqquest.cli import report_errors
from freqquest.cluster import preflight
from freqquest.cluster.node_check import JobPaths, NodeReport, check_node
from freqquest.cluster.preflight import check, require, table
from freqquest.cluster.requirements import Requirements
from freqquest.cnn.tune_config import TuneConfig
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.servers import refusing_server


def problem_of(requirements):
    with pytest.raises(UserError) as refused:
        require(check(requirements))
    return str(refused.value)


def test_a_job_that_can_be_done_gets_a_table_and_leaves_nothing_behind(local_ray, tmp_path):
    (tmp_path / "clips").mkdir()
    requirements = Requirements(
        reads={"audio_dir": str(tmp_path / "clips")},
        writes={"run_dir": str(tmp_path / "a" / "run")},
    )
    rows = check(requirements)
    require(rows)
    lines = table(rows).splitlines()
    subjects = ["check", "resources", "audio_dir", "run_dir", "versions", "free"]
    assert [line.split()[0] for line in lines] == subjects
    assert "1 node(s): 2 cores, 0 GPUs" in lines[1]
    assert all(line.endswith("ok") for line in lines[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_only_the_command_line_shows_flags():
    rows = [preflight.Row("`run_dir`", "write /x", "1 node can")]
    with report_errors(TuneConfig):
        assert "\n--run-dir  write" in table(rows)
    assert "\nrun_dir  " in table(rows)


def test_all_problems_are_named_each_in_one_line(local_ray):
    requirements = Requirements(writes={"run_dir": "/proc/run"}, num_workers=3, use_gpu=True)
    gpus, folder = problem_of(requirements).splitlines()
    assert gpus.startswith(
        "`use_gpu` with 3 worker(s) needs 3 GPU(s), the cluster has 0: leave out `use_gpu`"
    )
    assert folder.startswith("`run_dir`: cannot write /proc/run on node ")
    assert table(check(requirements)).count("PROBLEM") == 2


def test_a_bucket_that_does_not_exist_is_refused(local_ray, s3_clips):
    problem = problem_of(
        Requirements(reads={"audio_dir": s3_clips}, writes={"run_dir": "s3://nowhere/run"})
    )
    assert problem.startswith("`run_dir`: cannot write s3://nowhere/run on node ")
    assert problem.endswith(": The specified bucket does not exist")


def test_a_bucket_that_denies_access_is_refused(local_ray, s3_clips, monkeypatch):
    with refusing_server(403, "Access Denied", ("GET", "HEAD", "PUT", "POST")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        requirements = Requirements(
            reads={"dataset_dir": "s3://closed/clips"}, writes={"run_dir": "s3://closed/run"}
        )
        reading, writing = problem_of(requirements).splitlines()
    assert reading.startswith("`dataset_dir`: cannot read s3://closed/clips on node ")
    assert writing.startswith("`run_dir`: cannot write s3://closed/run on node ")
    assert writing.endswith("Access Denied")


def test_full_storage_is_refused_in_its_own_words(local_ray, s3_clips, monkeypatch):
    with refusing_server(507, "Storage is full", ("PUT", "POST")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert problem_of(Requirements(writes={"run_dir": "s3://full/run"})).endswith(
            "Storage is full"
        )
        with pytest.raises(OSError, match="Storage is full"):
            (locate("s3://full/run") / "a.txt").write_text("text")


def test_storage_that_cannot_be_reached_is_refused(local_ray, s3_clips, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "Could not connect to server" in problem_of(
        Requirements(writes={"run_dir": "s3://away/run"})
    )


def test_the_environment_is_prepared_before_ray_is_imported():
    code = (
        "import sys\n"
        "from freqquest.cluster import connection, preflight\n"
        "from freqquest.cluster.requirements import Requirements\n"
        "end = lambda: sys.exit('too late' if 'ray' in sys.modules else 0)\n"
        "connection.prepare_environment = end\n"
        "preflight.connect(Requirements())\n"
        "sys.exit('not prepared')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_failed_check_ends_only_a_ray_that_it_started(monkeypatch, is_new):
    def refuse(*_, **__):
        raise UserError("cannot open s4://bucket: unknown scheme")

    ended = []
    monkeypatch.setattr(preflight.connection, "connect", lambda: is_new)
    monkeypatch.setattr(preflight, "check", refuse)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(UserError, match="cannot open s4://bucket"):
        preflight.connect(Requirements())
    assert ended == [True] * is_new


@pytest.fixture
def paths(tmp_path):
    return JobPaths({"audio_dir": locate(tmp_path)}, {}, "probe")


@pytest.fixture
def reports(paths):
    """Reports of two nodes that see the same."""
    return [check_node(paths, node) for node in ("10.0.0.1", "10.0.0.2")]


def test_a_node_with_another_package_is_named(reports):
    assert preflight._check_versions(reports).found == "the same on all 2 nodes"
    other = replace(reports[1], versions=reports[1].versions | {"torch": "2.4.0", "keras": "none"})
    row = preflight._check_versions([reports[0], other])
    assert "node 10.0.0.2 has keras none, torch 2.4.0, the job's driver Python 3." in row.problem
    lost = NodeReport(node="10.0.0.3", failure="ModuleNotFoundError: No module named 'pyarrow'")
    assert (
        "node 10.0.0.3 cannot run tasks (ModuleNotFoundError: No module"
        in preflight._check_versions([*reports, lost]).problem
    )


def test_a_node_that_sees_another_folder_of_that_name_is_named(reports, paths, tmp_path):
    assert preflight._check_path("audio_dir", "read /x", reports).found == "all 2 nodes can"
    (tmp_path / "new.wav").touch()
    later = check_node(paths, "10.0.0.3")
    problem = preflight._check_path("audio_dir", "read /x", [*reports, later]).problem
    assert problem.startswith(
        "`audio_dir`: cannot read /x on node 10.0.0.3: this node has another folder of that name"
    )


def test_a_node_with_a_full_disk_is_named(reports):
    problem = preflight._check_disk([reports[0], replace(reports[1], free_bytes=10**8)]).problem
    assert problem.startswith(f"free disk: 0.1 GB in {tempfile.gettempdir()} on node 10.0.0.2")


def test_a_dry_run_also_reports_missing_files(local_ray, tmp_path):
    requirements = Requirements(reads={"model": str(tmp_path / "best_model.keras")})
    require(check(requirements))  # the job itself reports them in more detail
    with pytest.raises(
        UserError, match="`model`: cannot read .*best_model.keras: it does not exist"
    ):
        require(check(requirements, must_exist=True))
