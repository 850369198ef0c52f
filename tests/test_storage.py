import os
import signal
import time

import pytest

from freqquest import storage
from freqquest.errors import UserError
from freqquest.storage import Location, locate, upload_dir


def test_local_paths_become_absolute_and_uris_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(locate("some/file")) == f"{tmp_path}/some/file"
    assert str(locate(f"file://{tmp_path}/x")) == f"{tmp_path}/x"
    assert str(locate("~/x")) == os.path.expanduser("~/x")  # noqa: PTH111


def test_a_path_that_leads_out_of_a_folder_is_not_below_it(tmp_path):
    folder = locate(tmp_path / "train")
    assert locate(f"{folder}/siren").is_below(folder)
    assert not locate(f"{folder}/../data").is_below(folder)


def test_names_with_characters_that_uris_escape_are_kept(tmp_path):
    for name in ("a b.wav", "ö.wav", "100%20.wav", "a#b.wav"):
        assert str(locate(f"file://{tmp_path}/{name}")) == f"{tmp_path}/{name}"


def test_an_unknown_scheme_is_refused_and_the_supported_ones_are_named():
    with pytest.raises(UserError, match="cannot open ftp://host/x.*s3://, gs:// or file://"):
        locate("ftp://host/x")


def test_a_uri_with_settings_is_refused():
    with pytest.raises(UserError, match="settings after '\\?'"):
        locate("s3://bucket/x?region=eu-west-1")


def test_a_file_is_written_atomically_and_read_back(tmp_path):
    location = locate(tmp_path) / "new" / "folder" / "x.txt"
    assert location.parent.list_dir() == []
    location.write_text("über")
    assert location.read_text() == "über"
    assert location.num_bytes() == 5
    assert [item.name for item in location.parent.list_dir()] == ["x.txt"]  # nothing staged is left


def test_a_failed_write_keeps_the_earlier_file(tmp_path, monkeypatch):
    location = locate(tmp_path) / "x.txt"
    location.write_text("before")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        location.write_text("after")
    monkeypatch.undo()
    assert location.read_text() == "before"
    assert [item.name for item in location.parent.list_dir()] == ["x.txt"]


def test_uploading_a_folder_keeps_its_structure(tmp_path):
    (tmp_path / "from" / "inner").mkdir(parents=True)
    (tmp_path / "from" / "inner" / "a.txt").write_text("a")
    upload_dir(tmp_path / "from", locate(tmp_path / "to"))
    assert (tmp_path / "to" / "inner" / "a.txt").read_text() == "a"


def test_repeated_slashes_in_a_uri_do_not_matter(s3_clips):
    assert str(locate("s3://bucket//clips//low/")) == "s3://bucket/clips/low"
    assert locate("s3://bucket//clips//low").is_dir()


def test_ctrl_c_waits_until_an_object_is_written(s3_clips, monkeypatch):
    write = Location._write_object

    def slow(location, content):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        write(location, content)

    monkeypatch.setattr(Location, "_write_object", slow)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell may have set it to be ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            locate("s3://bucket/metrics.json").write_text("whole")
    finally:
        signal.signal(signal.SIGINT, before)
    assert locate("s3://bucket/metrics.json").read_text() == "whole"


def test_remote_files_are_read_at_once_or_in_pieces_and_overwritten(s3_clips, monkeypatch):
    location = locate("s3://bucket/new folder/ä.txt")
    location.write_text("first")
    location.write_text("second")
    assert location.read_text() == "second"
    monkeypatch.setattr(storage, "_WHOLE_BYTES", 3)
    with location.open() as stream:
        assert (stream.read(2), stream.seek(1), stream.read()) == (b"se", 1, b"econd")
    assert [entry.path for entry in locate("s3://bucket/new folder").walk()] == ["ä.txt"]
    location.remove_file()
    assert not location.exists()


def test_a_uri_that_lacks_a_slash_is_refused():
    with pytest.raises(UserError, match="s3:/bucket/run lacks a slash: give s3://bucket/run"):
        locate("s3:/bucket/run")
