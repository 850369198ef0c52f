import pytest

from freqquest.errors import UserError
from freqquest.runs.log_dir import LogDir
from freqquest.runs.tensorboard_server import WatchConfig, follow, watch
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
    (run / "tensorboard" / events.name).remove_file()  # as if a trial began again
    follow(run, tmp_path)
    assert not copy.exists()


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="`run_dir=.*none` does not exist or is not a folder"):
        watch(WatchConfig(run_dir=str(tmp_path / "none")))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="`port=70000` must be from 0 to 65535"):
        WatchConfig(run_dir="run", port=70_000)
    with pytest.raises(ValueError, match=r"`interval_s=0.0` must be above 0"):
        WatchConfig(run_dir="run", interval_s=0.0)
