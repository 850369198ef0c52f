import sys
from pathlib import Path

import pytest

from freqquest.benchmark.work_folder import copy_clips, job_command, link_clips, work_folder
from freqquest.errors import UserError


def test_the_work_folder_is_deleted_at_the_end(tmp_path):
    with work_folder(str(tmp_path / "work")) as work:
        work.mkdir()
        (work / "file").touch()
    assert not work.exists()


def test_a_work_folder_that_is_not_empty_is_refused_and_kept(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=f"`work_dir={tmp_path}` is not empty"),
        work_folder(str(tmp_path)),
    ):
        pass
    assert (tmp_path / "file").exists()


def test_clips_are_linked_repeatedly_to_get_as_many_as_needed(audio_dir, tmp_path):
    clips = copy_clips(audio_dir, tmp_path / "clips")
    links = link_clips(clips, 50, tmp_path / "many")
    assert len(set(links)) == 50
    assert {link.relative_to(tmp_path / "many").parts[0] for link in links} == {"0", "1", "2"}
    assert {link.parent.name for link in links} == {"low", "high"}
    assert links[20].samefile(clips[0])


def test_unusable_audio_folders_are_refused(audio_dir, tmp_path):
    with pytest.raises(UserError, match="does not exist or is not a folder"):
        copy_clips(tmp_path / "missing", tmp_path / "clips")
    with pytest.raises(UserError, match="`work_dir` must not be inside `audio_dir="):
        copy_clips(audio_dir, audio_dir / "work" / "clips")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no clips"):
        copy_clips(tmp_path / "empty", tmp_path / "clips")


def test_a_job_gets_its_settings_as_options():
    command = job_command("tune_cnn", run_dir=Path("run"), only=("a=1", "b=2"), overwrite=True)
    expected = ["tune_cnn", "--run-dir", "run", "--only", "a=1", "b=2", "--overwrite"]
    assert command == [sys.executable, "-m", "freqquest", *expected]
