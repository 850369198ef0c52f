from pathlib import Path

from freqquest.runs.log_dir import LogDir
from freqquest.runs.tensorboard_server import follow
from freqquest.storage import locate


def test_logs_reach_remote_storage_as_they_grow_and_a_copy_follows_them(s3_clips, tmp_path):
    run = locate("s3://bucket/logs")
    logs = LogDir(run / "tensorboard")
    events = logs.path / "events.out.tfevents.1"
    for text in ("one", "one two"):
        events.write_text(text)
        logs.sync()
        follow(run, tmp_path)
        copy = tmp_path / "tensorboard" / events.name
        assert copy.read_text() == text
    (run / "tensorboard" / events.name).remove_file()  # as where a trial begins again
    follow(run, tmp_path)
    assert not copy.exists()


def test_storage_that_fails_does_not_end_a_training(s3_clips, capsys):
    logs = LogDir(locate("s3://nowhere/logs"))
    (logs.path / "events").write_text("any")
    logs.sync()
    assert "s3://nowhere/logs cannot be written now: " in capsys.readouterr().err


def test_the_copy_of_remote_logs_goes_with_its_writer(s3_clips):
    logs = LogDir(locate("s3://bucket/logs"))
    folder = Path(logs.path)
    assert folder.is_dir()
    del logs
    assert not folder.exists()
