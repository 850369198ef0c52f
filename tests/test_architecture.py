"""Rules of the house: who may import whom, what a process loads, and how code is written."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "freqquest"
MODULES = sorted(PACKAGE.rglob("*.py"))

SHARED = {"errors", "storage", "local_walk", "plots", "progress", "presets", "choices"}
MAY_IMPORT = {
    "audio": SHARED,
    "cluster": SHARED | {"audio"},
    "runs": SHARED | {"audio", "cluster"},
    "embedding": SHARED | {"audio"},
    "dataset": SHARED | {"audio", "cluster", "runs", "embedding"},
    "cnn": SHARED | {"audio", "cluster", "runs", "embedding", "dataset"},
    "cgan": SHARED | {"audio", "cluster", "runs", "embedding", "dataset"},
    "detection": SHARED | {"audio", "cluster", "runs", "embedding", "dataset", "cnn"},
    "export": SHARED | {"audio", "cluster", "runs", "dataset", "cnn", "cgan"},
    "serving": SHARED | {"audio", "cluster", "runs", "embedding", "dataset", "cnn", "detection"},
}
COMMAND_LINE = {"cli", "cli_form", "commands", "help_layout", "__main__", "gpu"}

FRAMEWORKS = {"tensorflow", "keras", "torch"}

TESTS_OF_MANY_MODULES = {
    "test_api",
    "test_architecture",
    "test_cluster_files",
    "test_docs",
    "test_notebook",
    "test_packaging",
    "test_resume",
    "test_torch_alone",
    "test_web_page",
    "test_web_page_answer",
}

KEYS_OF_VERSION_2 = {'"labelled"', '"normalisation"', '"equaliser_db"', '".normalise."'}
"""Names in files of version 2, which are still read."""

ALLOWED_FLAGS = {
    "runs/report.py": {"--logdir", "--run-dir"},
    "runs/tensorboard_server.py": {"--logdir", "--host", "--port"},
    "cluster/connection.py": {"--address", "--working-dir"},
    "cluster/ray_internals.py": {"--no-monitor"},
    "serving/replicas.py": {"--data-binary"},
}
"""Flags of commands that we run, or that a user can copy."""

BRITISH = re.compile(
    r"\b(\w*(?:normali|memori|neutrali|initiali|optimi|recogni|organi|synthesi|generali|summari"
    r"|quanti|reali|visuali|minimi|maximi|speciali)s(?:e[ds]?|ing|ation)"
    r"|(?:un)?labelled|labelling|modelling|cancelled|travelled|(?:mis)?spelt"
    r"|colours?|behaviours?|favours?|favourite|neighbours?|honours?"
    r"|centres?|metres?|grey|licence|analysed?|catalogue|judgement|artefacts?|programme)\b",
    re.IGNORECASE,
)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def modules_of(package: str) -> list[str]:
    return [name_of(path) for path in MODULES if path.is_relative_to(PACKAGE / package)]


def imported_packages(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "freqquest":
            names += [f"freqquest.{item.name}" for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [item.name for item in node.names]
    return {name.split(".")[1] for name in names if name.startswith("freqquest.")}


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after running some code in a fresh interpreter."""
    report = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def import_all(names: list[str]) -> str:
    return "\n".join(f"import {name}" for name in names)


def claiming(pattern: str) -> list[str]:
    """Modules whose docstring says something."""
    return [
        name_of(path)
        for path in MODULES
        if re.search(pattern, ast.get_docstring(ast.parse(path.read_text())) or "")
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package):
    for path in (PACKAGE / package).rglob("*.py"):
        assert imported_packages(path) <= MAY_IMPORT[package] | {package}, path


def test_the_shared_modules_import_no_package():
    for name in SHARED:
        assert imported_packages(PACKAGE / f"{name}.py") <= SHARED, name


def test_only_the_command_line_imports_the_command_line():
    for path in MODULES:
        if path.stem not in COMMAND_LINE:
            assert not imported_packages(path) & COMMAND_LINE, path


def test_the_classifier_loads_no_torch_unless_it_runs_on_it():
    modules = modules_of("cnn")
    assert "freqquest.cnn.training" in modules
    loaded = loaded_by(import_all(modules))
    assert "tensorflow" in loaded
    assert "torch" not in loaded


def test_the_classifier_on_torch_loads_no_tensorflow():
    choice = "from freqquest.cnn.frameworks import choose_backend; choose_backend('torch')"
    loaded = loaded_by(f"{choice}\n{import_all(modules_of('cnn'))}")
    assert {"keras", "torch"} <= loaded
    assert "tensorflow" not in loaded


def test_the_generator_loads_no_tensorflow_even_when_it_writes_to_tensorboard(tmp_path):
    modules = modules_of("cgan")
    assert "freqquest.cgan.train_worker" in modules
    write = (
        "from freqquest.cgan.tensorboard_logs import *\n"
        f"open_writer(Path(r'{tmp_path}'), 1).add_scalar('a', 1.0)"
    )
    loaded = loaded_by(f"{import_all(modules)}\n{write}")
    assert "torch" in loaded
    assert not {"tensorflow", "keras"} & loaded


def test_making_a_dataset_loads_no_framework():
    modules = ["freqquest.dataset.write", "freqquest.dataset.shard", "freqquest.audio.augment"]
    assert not FRAMEWORKS & loaded_by(import_all(modules))


def test_drivers_load_no_framework():
    drivers = ("cnn.tune", "cnn.predict", "cnn.judge", "cgan.train", "cgan.generate", "pipeline")
    assert not FRAMEWORKS & loaded_by(import_all([f"freqquest.{name}" for name in drivers]))


def test_realism_metrics_need_neither_framework_nor_ray():
    assert not (FRAMEWORKS | {"ray"}) & loaded_by("import freqquest.cgan.realism")


RAYLESS = claiming(r"(?i)\b(nothing of|no|nor|without) Ray\b|Light to import")
LIGHT = claiming(r"Light to import")


def test_modules_that_claim_to_know_nothing_of_ray_import_none():
    assert "ray" not in loaded_by(import_all(RAYLESS))


def test_modules_that_claim_to_be_light_import_no_framework():
    heavy = FRAMEWORKS | {"ray", "pandas", "pyarrow"}
    assert not heavy & loaded_by(import_all(LIGHT))


def test_the_modules_that_must_know_nothing_of_ray_claim_so():
    wanted = (
        *("cnn.training", "cnn.judge", "cnn.search.trial_logs", "cgan.trainer"),
        *("cgan.training_loop", "cgan.train_job", "dataset.shard", "audio.decode"),
    )
    assert {f"freqquest.{name}" for name in wanted} <= set(RAYLESS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_command_line_knows_flags(path):
    if path.stem in COMMAND_LINE:
        return
    allowed = ALLOWED_FLAGS.get(path.relative_to(PACKAGE).as_posix(), set()) | {"--help"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", node.value))
            assert flags <= allowed, f"line {node.lineno}: {flags}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_package_names_no_file_of_jobs(path):
    assert not re.search(r"\bjobs/", path.read_text())


def test_each_test_module_is_named_for_a_module():
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder.name in ("integration", "fuzz") or path.stem in TESTS_OF_MANY_MODULES:
            continue
        assert (PACKAGE / folder / f"{path.stem.removeprefix('test_')}.py").exists(), path


WRITTEN = [
    path
    for folder in ("freqquest", "jobs", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__)
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_code_is_written_in_american_english(path):
    text = path.read_text()
    for key in KEYS_OF_VERSION_2:
        text = text.replace(key, "")
    assert not [match[0] for match in BRITISH.finditer(text)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_module_says_what_it_is_for(path):
    source = path.read_text()
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert not docstring.startswith("TODO")
    assert docstring or not source.strip()
