"""The wheel, and how the ranges of pyproject.toml, the pins and the imports agree."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BROUGHT_BY_RAY = {"pyyaml", "fastapi", "starlette", "uvicorn", "pydantic", "prometheus-client"}
NOT_INSTALLED = {"freqquest", "_typeshed"} | sys.stdlib_module_names


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def read_pins(file_name: str) -> list[Requirement]:
    lines = re.sub(r"#.*", "", (ROOT / file_name).read_text()).splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("-")]


def imported_packages(folder: Path) -> set[str]:
    """Return the top-level names of all absolute imports, those inside functions included."""
    packages = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                packages |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                packages.add(node.module.partition(".")[0])
    return packages


RANGES = [Requirement(text) for text in PROJECT["dependencies"]]
PROJECT_EXTRAS = PROJECT["optional-dependencies"]
EXTRAS = [Requirement(text) for extra in PROJECT_EXTRAS.values() for text in extra]
ROOMS_OF_EXTRAS = {"runs": ("mlflow", "wandb")}
"""Extras of the rooms that are not named for theirs."""
BASE_PINS = read_pins("requirements.txt")
DEV_PINS = read_pins("requirements-dev.txt")


@pytest.mark.parametrize("pin", BASE_PINS + DEV_PINS, ids=lambda pin: pin.name)
def test_each_requirement_is_pinned_to_one_version(pin):
    assert re.fullmatch(r"==[\w.]+", str(pin.specifier))
    assert pin.marker is None


def test_requirements_txt_pins_the_dependencies_and_nothing_else():
    assert names(BASE_PINS) == names(RANGES)
    assert (ROOT / "requirements.txt").read_text().count("\n-e .") == 1


def test_requirements_dev_txt_adds_to_the_base_and_pins_every_extra():
    assert "\n-r requirements.txt\n" in (ROOT / "requirements-dev.txt").read_text()
    assert names(EXTRAS) <= names(DEV_PINS)
    assert not names(DEV_PINS) & names(BASE_PINS)


@pytest.mark.parametrize("allowed", RANGES + EXTRAS, ids=lambda allowed: allowed.name)
def test_each_pin_lies_inside_its_range(allowed):
    (pin,) = (pin for pin in BASE_PINS + DEV_PINS if names([pin]) == names([allowed]))
    (version,) = (specifier.version for specifier in pin.specifier)
    assert version in allowed.specifier
    assert pin.extras == allowed.extras


def test_the_package_imports_every_dependency_and_no_other_library():
    distributions = packages_distributions()
    libraries = imported_packages(ROOT / "freqquest") - NOT_INSTALLED
    imported = {canonicalize_name(name) for library in libraries for name in distributions[library]}
    assert imported - BROUGHT_BY_RAY - names(EXTRAS) == names(RANGES)


def test_only_the_room_named_for_an_extra_imports_its_libraries():
    distributions = packages_distributions()
    for room in (path for path in (ROOT / "freqquest").iterdir() if path.is_dir()):
        libraries = imported_packages(room) & distributions.keys()
        found = {
            canonicalize_name(name) for library in libraries for name in distributions[library]
        }
        extras = ROOMS_OF_EXTRAS.get(room.name, (room.name,))
        its_own = names(
            Requirement(text) for name in extras for text in PROJECT_EXTRAS.get(name, [])
        )
        assert found & names(EXTRAS) <= its_own, room


def test_ci_finds_its_command_in_the_readme_which_installs_the_test_tools():
    (command,) = re.findall(
        r"^python3 -m venv .* -m pytest *$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert "pip install -r requirements-dev.txt " in command


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by way of the sdist from a copy that has no leftovers of earlier builds."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "freqquest", source / "freqquest", ignore=shutil.ignore_patterns("__pycache__")
    )
    run([sys.executable, "-m", "build", "--no-isolation", "."], cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the installed wheel; its dependencies are those of the running Python."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, "--target", folder, wheel], cwd=folder)
    return folder


def run(command, cwd, **env):
    """Run a command outside the checkout and return its output; a failure shows its errors."""
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | env
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = (path for path in (ROOT / "freqquest").rglob("*") if path.is_file())
    expected = {str(path.relative_to(ROOT)) for path in sources if "__pycache__" not in path.parts}
    assert files == expected
    assert {"freqquest/py.typed", "freqquest/__main__.py"} <= files
    assert any(name.endswith(".html") for name in files)


@pytest.mark.slow
def test_the_installed_commands_list_every_job(installed, tmp_path):
    for command in (
        [sys.executable, "-m", "freqquest"],
        [sys.executable, installed / "bin" / "freqquest"],
    ):
        listed = run([*command, "--help"], cwd=tmp_path, PYTHONPATH=str(installed))
        for job in (ROOT / "jobs").glob("*.py"):
            assert job.stem in listed


@pytest.mark.slow
def test_the_installed_package_tells_its_version_and_loads_no_heavy_library(installed, tmp_path):
    code = (
        "import freqquest, sys; print(freqquest.__file__); print(freqquest.__version__); "
        "print({'ray', 'tensorflow', 'torch', 'pandas', 'pyarrow'} & sys.modules.keys())"
    )
    output = run([sys.executable, "-c", code], cwd=tmp_path, PYTHONPATH=str(installed))
    assert output.splitlines() == [
        str(installed / "freqquest" / "__init__.py"),
        PROJECT["version"],
        "set()",
    ]


@pytest.mark.slow
def test_the_installed_package_preprocesses_clips(installed, tmp_path):
    for label, pitch_hz in {"low": 200, "high": 2000}.items():
        (tmp_path / "train" / label).mkdir(parents=True)
        for index in range(5):
            tone = np.sin(2 * np.pi * (pitch_hz + index) * np.arange(8000) / 8000)
            soundfile.write(tmp_path / "train" / label / f"{index}.wav", tone, 8000)
    arguments = ["preprocess", "--audio-dir", "train", "--dataset-dir", "dataset"]
    run([sys.executable, "-m", "freqquest", *arguments], cwd=tmp_path, PYTHONPATH=str(installed))
    assert (tmp_path / "dataset" / "manifest.json").is_file()
    assert list(tmp_path.glob("dataset/train/part-*.parquet"))
