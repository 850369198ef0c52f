"""Which rooms may import what: imports point one way, and no process loads both frameworks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "freqquest"

MAY_IMPORT = {
    "audio": {"audio"},
    "runs": {"runs"},
    "dataset": {"audio", "runs", "dataset", "preflight"},
    "cnn": {"audio", "runs", "dataset", "cnn"},
    "cgan": {"audio", "runs", "dataset", "cgan"},
}
GROUND = {"errors", "capacity", "cluster", "needs"}


def modules_of(room: str) -> list[str]:
    return [
        f"freqquest.{room}.{path.stem}"
        for path in (PACKAGE / room).glob("*.py")
        if path.stem != "__init__"
    ]


def imported_rooms(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += (
                [node.module]
                if node.module != "freqquest"
                else [f"freqquest.{item.name}" for item in node.names]
            )
        elif isinstance(node, ast.Import):
            names += [item.name for item in node.names]
    return {name.split(".")[1] for name in names if name.startswith("freqquest.")}


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after running some code in a fresh interpreter."""
    report = (
        f"{code}\nimport sys; print('\\n'.join({{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    for path in (PACKAGE / room).glob("*.py"):
        assert imported_rooms(path) <= MAY_IMPORT[room] | GROUND, path


def test_the_classifier_loads_no_torch():
    modules = modules_of("cnn")
    assert "freqquest.cnn.training" in modules
    loaded = loaded_by("\n".join(f"import {name}" for name in modules))
    assert "tensorflow" in loaded
    assert "torch" not in loaded


def test_the_generator_loads_no_tensorflow_even_when_it_writes_to_tensorboard(tmp_path):
    modules = modules_of("cgan")
    assert "freqquest.cgan.train_worker" in modules
    write = f"SummaryWriter(r'{tmp_path}').add_scalar('a', 1.0)"
    loaded = loaded_by(
        "\n".join(f"import {name}" for name in modules)
        + f"\nfrom freqquest.cgan.tensorboard_logs import *\n{write}"
    )
    assert "torch" in loaded
    assert not {"tensorflow", "keras"} & loaded


def test_preparing_clips_loads_neither_framework():
    loaded = loaded_by(
        "import freqquest.dataset.write, freqquest.dataset.shard, freqquest.audio.augment"
    )
    assert not {"tensorflow", "keras", "torch"} & loaded


@pytest.mark.parametrize("room", ["dataset", "cnn", "cgan"])
def test_settings_are_light_to_import(room):
    assert not {"ray", "tensorflow", "torch", "pandas", "pyarrow"} & loaded_by(
        f"import freqquest.{room}.config"
    )


def test_drivers_load_neither_framework():
    drivers = ("cnn.tune", "cnn.predict", "cnn.judge", "cgan.train", "pipeline")
    loaded = loaded_by("\n".join(f"import freqquest.{name}" for name in drivers))
    assert not {"tensorflow", "keras", "torch"} & loaded


def test_figures_of_generated_clips_need_neither_framework_nor_ray():
    assert not {"tensorflow", "keras", "torch", "ray"} & loaded_by("import freqquest.cgan.realism")
