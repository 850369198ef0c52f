"""The documentation keeps its promises: links lead somewhere, commands parse, examples run."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from freqquest import cli
from freqquest.benchmark.registry import BENCHMARKS
from freqquest.commands import JOBS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
SHELL_OPERATORS = {"&&", "||", ";", "|", ">"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(page.read_text()) if found == language]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    text = FENCE.sub("", page.read_text())
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def job_commands() -> Iterator[Any]:
    """Each command in the pages that starts a job: the job's name and its arguments."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if command := find_job(words):
                    yield pytest.param(*command, id=f"{name_of(page)}: {shlex.join(words)[:60]}")


def find_job(words: list[str]) -> tuple[str, list[str]] | None:
    for position, word in enumerate(words):
        arguments = words[position + 1 :]
        end = next((i for i, each in enumerate(arguments) if each in SHELL_OPERATORS), None)
        if match := re.fullmatch(r"jobs/(\w+)\.py", word):
            return match[1], arguments[:end]
        starts_command = position == 0 or words[position - 1] in {*SHELL_OPERATORS, "-m"}
        if Path(word).name == "freqquest" and starts_command:
            return arguments[0], arguments[1:end]
    return None


@pytest.mark.parametrize(("job", "arguments"), list(job_commands()))
def test_each_command_parses(job, arguments):
    arguments = [word for word in arguments if word != "--dry-run"]  # which would start Ray
    if job == "benchmark":
        config_type, *arguments = BENCHMARKS[arguments[0]].config_type, *arguments[1:]
    else:
        config_type = JOBS[job.replace("-", "_")].config_type()
    config = cli.parse(config_type, arguments, prog=job, description="")
    assert type(config) is config_type


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_relative_link_leads_to_a_file_and_heading(page):
    for link in ("".join(found) for found in LINK.findall(page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_at_most_100_characters_but_for_tables_and_commands(page):
    prose = FENCE.sub("", page.read_text())
    long = [line for line in prose.splitlines() if len(line) > 100 and line[0] not in "|!["]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_examples_compile(page):
    for code in blocks(page, "python"):
        compile(code, name_of(page), "exec")


def test_the_readme_is_short_and_begins_with_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 1_200
    commands = [line for line in text.splitlines() if line.startswith("python3 -m venv ")]
    assert [line.split(" && ")[-1] for line in commands] == [
        ".venv/bin/python jobs/pipeline.py",
        ".venv/bin/python -m pytest",
    ]


def test_the_architecture_lists_each_file_of_the_package():
    listed, folder = set(), ""
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if match := re.match(r"(?:### |`)([\w/]+)/", line):
            folder = match[1].removeprefix("freqquest")
        elif line.startswith("| `"):
            names = re.findall(r"`(\w+\.py)`", line.split("|")[1])
            listed |= {f"{folder}/{name}".lstrip("/") for name in names}
    package = ROOT / "freqquest"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert listed == {path for path in files if not path.endswith("/__init__.py")}


def test_the_version_follows_the_last_release_in_the_changelog():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changes, *releases = re.findall(r"^## \[(.+)\]$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert (changes == "Unreleased") == Version(version).is_devrelease
    assert Version(version) > Version(releases[0]) or changes == version


@pytest.mark.slow
def test_the_examples_of_the_dataset_page_run(dataset_dir, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clips").symlink_to(dataset_dir)
    code = "\n".join(blocks(ROOT / "docs" / "dataset.md", "python"))
    run_script(code.replace("/absolute/path/to", str(tmp_path)), tmp_path)


@pytest.mark.slow
def test_the_python_api_page_runs_from_top_to_bottom(local_ray, tmp_path, monkeypatch):
    from freqquest.audio.demo_clips import DemoConfig, write_demo_clips

    write_demo_clips(
        tmp_path,
        DemoConfig(
            num_recordings=3,
            clips_per_recording=2,
            num_test_recordings=1,
            clips_per_test_recording=1,
        ),
    )
    monkeypatch.setenv("RAY_ADDRESS", local_ray)  # to start its own takes longer
    for number in (1, 2):
        (tmp_path / "test" / f"clip_00{number}.wav").rename(tmp_path / "test" / f"{number}.wav")
    examples = blocks(ROOT / "docs" / "python-api.md", "python")
    run_script("\n".join(code for code in examples if "run_pipeline" not in code), tmp_path)


def run_script(code: str, folder: Path) -> None:
    """Run code in a process of its own, as a user's script in that folder."""
    script = folder / "example.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=3_600
    )
    assert done.returncode == 0, done.stderr[-3_000:]


def test_each_test_that_the_pages_name_exists():
    named = {name for page in PAGES for name in re.findall(r"`(tests/\S+::\w+)`", page.read_text())}
    assert len(named) > 30
    for name in named:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), name
