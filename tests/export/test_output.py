"""Outputs of an export: whole, and never over others."""

import os
import shutil
from pathlib import Path

import pytest

from freqquest.errors import UserError
from freqquest.export.output import check_output, write_output
from freqquest.storage import locate


def saved_model(folder, text="new"):
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(text)
    (folder / "variables" / "data").write_text(text)
    return folder


def test_an_existing_output_is_refused_unless_it_may_be_replaced(tmp_path):
    file, folder = tmp_path / "m.onnx", saved_model(tmp_path / "saved")
    check_output(locate(file), is_folder=False, overwrite=False)
    file.write_text("old")
    with pytest.raises(UserError, match="m.onnx` exists: choose another path, or pass `overwrite="):
        check_output(locate(file), is_folder=False, overwrite=False)
    with pytest.raises(UserError, match="saved` exists: choose another path, or pass"):
        check_output(locate(folder), is_folder=True, overwrite=False)
    check_output(locate(file), is_folder=False, overwrite=True)
    check_output(locate(folder), is_folder=True, overwrite=True)


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    with pytest.raises(UserError, match="exists and is not a SavedModel: choose another folder"):
        check_output(locate(tmp_path), is_folder=True, overwrite=True)
    with pytest.raises(UserError, match="is a folder: give the file to write in it"):
        check_output(locate(tmp_path), is_folder=False, overwrite=True)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    file, output = tmp_path / "file", tmp_path / "new" / "saved"
    file.touch()
    for inside in (file / "m.onnx", file / "new" / "m.onnx"):
        with pytest.raises(UserError, match=f"`output={inside}` is in {file}, which is a file"):
            check_output(locate(inside), is_folder=False, overwrite=False)
    check_output(locate(output), is_folder=True, overwrite=False)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and path.exists())
    with pytest.raises(UserError, match=f"written: {tmp_path} gives no permission; choose another"):
        check_output(locate(output), is_folder=True, overwrite=False)
    assert not output.parent.exists()


def test_a_folder_takes_the_place_of_an_earlier_one_and_leaves_nothing_beside_it(tmp_path):
    source, target = saved_model(tmp_path / "source"), tmp_path / "out" / "saved"
    write_output(source, locate(target))
    (target / "leftover").touch()
    write_output(source, locate(target))
    assert {path.name for path in target.rglob("*")} == {"saved_model.pb", "variables", "data"}
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_copied_leaves_the_earlier_one(tmp_path, monkeypatch):
    source, target = saved_model(tmp_path / "source"), saved_model(tmp_path / "saved", "old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(OSError, match="no space left"):
        write_output(source, locate(target))
    assert (target / "variables" / "data").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved", "source"]


def test_a_folder_that_cannot_be_renamed_leaves_the_earlier_one(tmp_path, monkeypatch):
    source, target = saved_model(tmp_path / "source"), saved_model(tmp_path / "saved", "old")
    rename = Path.rename

    def fail_for_the_new_one(path, to):
        if path.name == "new":
            raise OSError("device is gone")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="device is gone"):
        write_output(source, locate(target))
    assert (target / "variables" / "data").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved", "source"]


def test_a_folder_in_an_object_store_gets_the_file_that_makes_it_a_model_last(tmp_path):
    from pyarrow import fs

    from freqquest.storage import Location

    written = []

    class Store(Location):
        def __truediv__(self, name):
            return Store(self.filesystem, f"{self.path}/{name}")

        def write_bytes(self, content):
            written.append(self.path)

    source = saved_model(tmp_path / "source")
    (source / "zeros").touch()
    write_output(source, Store(fs.SubTreeFileSystem("/", fs.LocalFileSystem()), "bucket/saved"))
    assert sorted(written) == sorted(
        f"bucket/saved/{name}" for name in ("variables/data", "zeros", "saved_model.pb")
    )
    assert written[-1] == "bucket/saved/saved_model.pb"
