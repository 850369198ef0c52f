import os

import pytest

from freqquest.cluster import cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 64 cores; the function writes the files of one control group."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_MOUNTS", tmp_path / "mounts")

    def write(lines, **files):
        (tmp_path / "cgroup").write_text("\n".join(lines) + "\n")
        for path, content in files.items():
            file = tmp_path / "mounts" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}\n")

    return write


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 64), ("400000 100000", 4), ("350000 100000", 3), ("50000 100000", 1)],
)
def test_the_quota_of_version_2_is_rounded_down_but_one_core_is_left(machine, quota, expected):
    machine(["0::/"], **{"cpu.max": quota})
    assert cores.num_usable_cores() == expected


def test_the_tightest_quota_of_nested_groups_holds(machine):
    machine(
        ["0::/batch/job"],
        **{"batch/cpu.max": "300000 100000", "batch/job/cpu.max": "800000 100000"},
    )
    assert cores.num_usable_cores() == 3


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_version_1_counts(machine, mount):
    files = {f"{mount}/cpu.cfs_quota_us": 250_000, f"{mount}/cpu.cfs_period_us": 100_000}
    machine(["4:memory:/m", "2:cpu,cpuacct:/host/path/of/the/container", "0::/"], **files)
    assert cores.num_usable_cores() == 2


def test_version_1_without_a_quota_allows_all_cores(machine):
    machine(["1:cpu:/"], **{"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100_000})
    assert cores.num_usable_cores() == 64


def test_affinity_below_the_quota_counts(machine, monkeypatch):
    machine(["0::/"], **{"cpu.max": "800000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 7}, raising=False)
    assert cores.num_usable_cores() == 2


def test_without_affinity_and_control_groups_all_cores_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "missing")
    assert cores.num_usable_cores() == os.cpu_count()
