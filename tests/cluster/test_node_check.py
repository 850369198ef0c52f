import os
from pathlib import Path

from freqquest.cluster.node_check import MISSING, NOT_SHARED, JobPaths, check_node, probed_paths
from freqquest.cluster.requirements import Requirements
from freqquest.storage import locate


def test_a_node_reports_versions_contents_and_free_disk(tmp_path):
    (tmp_path / "a.csv").write_text("12345")
    reads = {"metadata": locate(tmp_path / "a.csv"), "audio_dir": locate(tmp_path / "none")}
    report = check_node(JobPaths(reads, {}, "probe"), "10.0.0.1")
    assert report.contents == {"metadata": "5 bytes", "audio_dir": MISSING}
    assert {"Python", "ray", "torch"} <= set(report.versions)
    assert report.free_bytes > 0
    assert not report.refusals


def test_folders_with_the_same_names_are_equal_but_for_hidden_files(tmp_path):
    def contents():
        paths = JobPaths({"audio_dir": locate(tmp_path)}, {}, "probe")
        return check_node(paths, "10.0.0.1").contents["audio_dir"]

    before = contents()
    (tmp_path / ".hidden").touch()
    assert contents() == before
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")).touch()  # a name that is not UTF-8
    assert contents() != before


def test_a_folder_that_a_node_does_not_share_is_refused(tmp_path):
    report = check_node(JobPaths({}, {"run_dir": locate(tmp_path)}, "probe"), "10.0.0.1")
    assert report.refusals == {"run_dir": NOT_SHARED}


def test_probes_are_removed_and_new_folders_are_not_made(tmp_path):
    requirements = Requirements(writes={"run_dir": str(tmp_path / "a" / "run")})
    with probed_paths(requirements) as (paths, refusals):
        assert (tmp_path / paths.probe).exists()
        assert not check_node(paths, "10.0.0.1").refusals
    assert not refusals
    assert not list(tmp_path.iterdir())
