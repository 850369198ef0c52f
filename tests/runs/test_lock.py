import os
import subprocess
import sys

import filelock
import pytest

from freqquest.errors import UserError
from freqquest.runs import lock as module
from freqquest.runs.layout import LOCK_NAME
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


def test_two_processes_cannot_work_in_one_folder_but_a_killed_one_leaves_it(tmp_path, monkeypatch):
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


def test_locking_again_changes_neither_the_lock_file_nor_its_time(tmp_path):
    file = tmp_path / LOCK_NAME
    lock(locate(tmp_path))
    os.utime(file, (1, 1))
    lock(locate(tmp_path))
    assert (file.stat().st_size, file.stat().st_mtime) == (0, 1)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


@pytest.mark.parametrize("error", [OSError(38, "no locks here"), NotImplementedError()])
def test_a_file_system_without_locks_still_works(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert lock(locate(tmp_path / "run"))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(PermissionError, match="not yours"):
        lock(locate(tmp_path / "run"))


def test_a_system_without_fcntl_still_locks(tmp_path):
    """As on Windows, where there is no such module."""
    code = f"import sys; sys.modules['fcntl'] = None\n{HOLD}"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        input="",
        text=True,
        check=True,
        capture_output=True,
    )


def test_two_jobs_of_a_cluster_cannot_work_in_one_remote_folder(local_ray, s3_clips, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    run = locate("s3://bucket/locked")
    held = module._lock_remote(run)
    with pytest.raises(UserError, match="another job is at work in s3://bucket/locked"):
        lock(run)
    del held
    monkeypatch.setattr(module, "_PATIENCE_S", 30.0)
    assert lock(run)
