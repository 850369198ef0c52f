import json

import pytest

from freqquest.cluster import node_check
from freqquest.errors import UserError
from freqquest.runs.folder import RunFolder, describe_machine


def test_each_stage_has_its_section_and_finishes_once(tmp_path, capsys):
    folder = str(tmp_path / "run")
    cnn = RunFolder(folder, "cnn", {"seed": 0, "shape": (1, 2)})
    assert cnn.finished() is None
    recorded = cnn.finish({"accuracy": 0.5})
    RunFolder(folder, "cgan", {"seed": 1}).begin()
    RunFolder(folder, "other", {})
    assert capsys.readouterr().err == ""
    again = RunFolder(folder, "cnn", {"seed": 0, "shape": (1, 2)}).finished()
    assert again == recorded == {"accuracy": 0.5, "machine": describe_machine()}
    assert capsys.readouterr().err == "cnn: already finished, kept as it is\n"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config == {"cnn": {"seed": 0, "shape": [1, 2]}, "cgan": {"seed": 1}}


def test_other_contents_are_named_by_the_first_digits_of_their_hash(tmp_path):
    RunFolder(str(tmp_path / "run"), "cgan", {"judge_sha256": "0123456789abcdef"}).begin()
    with pytest.raises(
        UserError, match=r"other settings: judge_sha256=not given \(there: 01234567\); choose"
    ):
        RunFolder(str(tmp_path / "run"), "cgan", {"judge_sha256": None})


def test_other_settings_are_refused_by_name(tmp_path):
    RunFolder(str(tmp_path / "run"), "cnn", {"seed": 0, "preset": "default"}).begin()
    with pytest.raises(
        UserError,
        match=r"cnn run with other settings: seed=1 \(there: 0\); choose another `run_dir`",
    ):
        RunFolder(str(tmp_path / "run"), "cnn", {"seed": 1, "preset": "default"})


def test_settings_are_compared_again_once_the_folder_is_locked(tmp_path):
    waiting = RunFolder(str(tmp_path / "run"), "cnn", {"seed": 1})
    RunFolder(str(tmp_path / "run"), "cnn", {"seed": 0}).begin()
    with pytest.raises(UserError, match=r"with other settings: seed=1 \(there: 0\)"):
        waiting.begin()


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(
        UserError,
        match=r"holds thesis.tex and is not a run folder: choose an empty or new `run_dir`",
    ):
        RunFolder(str(tmp_path), "cnn", {})
    with pytest.raises(UserError, match="is a file: choose another `run_dir`"):
        RunFolder(str(tmp_path / "thesis.tex"), "cnn", {})


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"cnn": ')
    with pytest.raises(UserError, match="config.json is corrupt"):
        RunFolder(str(tmp_path), "cnn", {})


def test_a_machine_with_tensorflow_under_another_name_is_described(monkeypatch):
    def version(package):
        if package == "tensorflow":
            raise node_check.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(node_check, "version", version)
    assert describe_machine().endswith("ray 1.0, tensorflow none, torch 1.0")


def test_metrics_that_are_not_finite_are_never_written(tmp_path):
    run = RunFolder(str(tmp_path / "run"), "cnn", {})
    with pytest.raises(ValueError, match="JSON compliant"):
        run.finish({"accuracy": float("nan")})
    assert run.finished() is None
