import subprocess
import sys

import pytest

from freqquest.errors import UserError
from freqquest.runs import lock as module
from freqquest.runs.lock import lock
from freqquest.storage import locate

HOLD = """
import sys
from freqquest.runs.lock import lock
from freqquest.storage import locate
held = lock(locate(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_cannot_work_in_one_folder_and_a_killed_one_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    run = locate(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(
            UserError, match="another job is at work in .*run: let it finish, or stop it"
        ):
            lock(run)
        other.kill()
    assert lock(run)


def test_stages_of_one_process_share_a_folder_until_the_last_one_ends(tmp_path):
    run = locate(tmp_path / "run")
    first = lock(run)
    assert lock(run) is first
    del first
    assert not module._locks


def test_two_jobs_of_a_cluster_cannot_work_in_one_remote_folder(local_ray, s3_clips, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    run = locate("s3://bucket/locked")
    held = module._lock_remote(run)
    with pytest.raises(UserError, match="another job is at work in s3://bucket/locked"):
        lock(run)
    del held
    monkeypatch.setattr(module, "_PATIENCE_S", 30.0)
    assert lock(run)
