"""The Python API: names, lazy loading, and stages that connect by themselves."""

import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import freqquest
from freqquest import stages
from freqquest.cgan.config import TrainConfig
from freqquest.cnn.tune_config import TuneConfig
from freqquest.errors import UserError

HEAVY = {"ray", "tensorflow", "keras", "torch", "pandas", "pyarrow", "numpy"}


def loaded_by(code):
    report = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = loaded_by("import freqquest; dir(freqquest); freqquest.__version__")
    assert not HEAVY & loaded


@pytest.mark.parametrize(
    "name", ["UserError", "TuneConfig", "PipelineConfig", "tune", "run_pipeline"]
)
def test_settings_and_stages_load_no_framework(name):
    assert not HEAVY - {"numpy"} & loaded_by(f"import freqquest; freqquest.{name}")


def test_settings_leave_the_process_as_it_was():
    loaded = loaded_by(
        "import os, sys; os.environ['KERAS_BACKEND'] = 'jax'; before = dict(os.environ)\n"
        "import freqquest; freqquest.TrainConfig, freqquest.PipelineConfig, freqquest.TuneConfig\n"
        "assert dict(os.environ) == before"
    )
    assert "tensorboard" not in loaded


def test_all_names_are_listed_and_belong_to_modules_that_exist():
    assert {*freqquest._MODULES, "__version__"} == set(freqquest.__all__) == set(dir(freqquest))
    for module in freqquest._MODULES.values():
        assert find_spec(module), module


@pytest.mark.parametrize("name", sorted(freqquest._MODULES))
def test_each_name_can_be_used(name):
    assert getattr(freqquest, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'freqquest' has no attribute 'nope'"):
        freqquest.nope  # noqa: B018


def test_without_an_installed_package_the_version_is_unknown(monkeypatch):
    monkeypatch.setattr(freqquest, "__name__", "not-installed-anywhere")
    assert freqquest._read_version() == "unknown"


def test_a_type_checker_knows_the_names_and_refuses_others(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("import freqquest\nfreqquest.Dataset.open('a')\nfreqquest.Datset\n")
    command = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=skip"]
    done = subprocess.run(
        [*command, code, freqquest.__file__], capture_output=True, text=True, cwd=tmp_path
    )
    assert 'code.py:3: error: Module has no attribute "Datset"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_types_are_shipped():
    assert find_spec("freqquest").submodule_search_locations
    from importlib.resources import files

    assert (files("freqquest") / "py.typed").is_file()


STAGES = {
    "tune": TuneConfig(dataset_dir="none", run_dir="run", use_gpu=True),
    "train_generator": TrainConfig(dataset_dir="none", run_dir="run", num_workers="2"),
    "run_pipeline": freqquest.PipelineConfig(num_workers="3", audio_dir="none"),
}


@pytest.fixture
def accepted_requests(monkeypatch):
    """Let all settings pass that are checked without Ray."""
    accepted = SimpleNamespace(finished=None)
    for check in ("cnn.tune.check_request", "cgan.train.check_request", "pipeline.check_sources"):
        monkeypatch.setattr(f"freqquest.{check}", lambda _: accepted)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_connects_with_its_requirements_before_any_work(
    monkeypatch, stage, accepted_requests
):
    def refuse(requirements):
        raise UserError(f"asked for {requirements}")

    monkeypatch.setattr(stages.preflight, "connect", refuse)
    with pytest.raises(UserError, match="asked for [123] worker"):
        getattr(stages, stage)(STAGES[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_refuses_what_it_can_before_ray_starts(monkeypatch, stage):
    monkeypatch.setattr(stages.preflight, "connect", lambda _: pytest.fail("Ray was started"))
    with pytest.raises(UserError, match="none`? (is not a dataset|does not exist)"):
        getattr(stages, stage)(STAGES[stage])


def test_training_stages_write_a_report_as_their_jobs_do(monkeypatch, tmp_path, accepted_requests):
    monkeypatch.setattr(stages.preflight, "connect", lambda _: None)
    monkeypatch.setattr("freqquest.cnn.tune.tune_cnn", lambda *_: {"accuracy": 0.5})
    monkeypatch.setattr("freqquest.pipeline.train_with_judge", lambda *_: {"epoch": 1})
    for name in ("cnn", "generator"):
        (tmp_path / name).mkdir()
    tuned = freqquest.tune(TuneConfig(dataset_dir="none", run_dir=str(tmp_path / "cnn")))
    trained = freqquest.train_generator(
        TrainConfig(dataset_dir="none", run_dir=str(tmp_path / "generator"))
    )
    assert (tuned, trained) == ({"accuracy": 0.5}, {"epoch": 1})
    assert {path.parent.name for path in tmp_path.rglob("report.html")} == {"cnn", "generator"}
