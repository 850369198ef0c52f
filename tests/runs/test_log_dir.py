from pathlib import Path

from freqquest.runs.log_dir import LogDir
from freqquest.storage import locate


def test_local_logs_are_written_into_the_run_folder(tmp_path):
    logs = LogDir(locate(tmp_path / "tensorboard"))
    assert logs.path == tmp_path / "tensorboard"
    assert logs.path.is_dir()


def test_storage_that_fails_does_not_end_a_training(s3_clips, capsys):
    logs = LogDir(locate("s3://nowhere/logs"))
    (logs.path / "events").write_text("any")
    logs.sync()
    assert "s3://nowhere/logs cannot be written now: " in capsys.readouterr().err


def test_the_copy_of_remote_logs_is_removed_with_its_writer(s3_clips):
    logs = LogDir(locate("s3://bucket/logs"))
    folder = Path(logs.path)
    assert folder.is_dir()
    del logs
    assert not folder.exists()
