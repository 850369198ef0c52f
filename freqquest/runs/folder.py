"""A run folder: config.json and metrics.json with one section per stage, and the stages' own files.

A stage's section in metrics.json is written last, which marks the stage as finished.
"""

import json
import platform
import sys
from collections.abc import Mapping
from typing import Any

from freqquest.cluster.cores import num_usable_cores
from freqquest.cluster.node_check import installed_version
from freqquest.errors import UserError
from freqquest.runs.layout import CONFIG_NAME, METRICS_NAME
from freqquest.runs.lock import lock
from freqquest.storage import Location, locate

Section = dict[str, Any]
"""One stage's part of a JSON file, as `json` reads it."""


class RunFolder:
    """A run folder, as one stage uses it.

    ```python
    run = RunFolder("results/run", "cnn", settings)  # refuses a folder with other settings
    if (metrics := run.finished()) is None:
        run.begin()  # locks the folder, and binds it to the settings
        metrics = run.finish(do_the_work())
    ```
    """

    def __init__(self, run_dir: str, stage: str, settings: Mapping[str, object]) -> None:
        """Check that the folder can take the stage. Nothing is written yet.

        Args:
            run_dir: Path or URI of the folder.
            stage: Name of the stage's sections.
            settings: JSON-compatible settings that shape the stage's results.

        Raises:
            UserError: The folder is something else, or holds this stage with other settings.
        """
        self.location = locate(run_dir)
        self.stage = stage
        self._settings: Section = json.loads(json.dumps(dict(settings)))
        sections = read_sections(self.location, CONFIG_NAME)
        if not sections:
            _require_empty(self.location)
        self._refuse_other_settings(sections)

    def __truediv__(self, name: str) -> Location:
        return self.location / name

    def begin(self) -> None:
        """Record the stage's settings, which binds the folder to them, before any long work.

        Raises:
            UserError: Another process is at work in the folder, or has bound it to other settings.
        """
        self._lock = lock(self.location)
        sections = read_sections(self.location, CONFIG_NAME)
        self._refuse_other_settings(sections)
        if self.stage not in sections:
            _write_section(self.location, CONFIG_NAME, self.stage, self._settings)

    def _refuse_other_settings(self, sections: Mapping[str, Section]) -> None:
        changed = changed_settings(self._settings, sections.get(self.stage, self._settings))
        if changed:
            raise UserError(
                f"{self.location} holds a {self.stage} run with other settings: "
                f"{', '.join(changed)}; choose another `run_dir`, or remove that one"
            )

    def finished(self) -> Section | None:
        """Return the stage's metrics if it finished before, and print that it did."""
        metrics = read_sections(self.location, METRICS_NAME).get(self.stage)
        if metrics is not None:
            print(f"{self.stage}: already finished, kept as it is", file=sys.stderr)
        return metrics

    def finish(self, metrics: Mapping[str, object]) -> Section:
        """Record the stage's metrics and machine, which marks it as finished, and return them."""
        self.begin()
        section = {**metrics, "machine": describe_machine()}
        _write_section(self.location, METRICS_NAME, self.stage, section)
        return section


def changed_settings(wanted: Mapping[str, object], earlier: Mapping[str, object]) -> list[str]:
    """Return a text for each setting that differs from those of an earlier result."""
    return [
        f"{name}={_shorten(name, wanted.get(name))} (there: {_shorten(name, earlier.get(name))})"
        for name in sorted(wanted.keys() | earlier.keys())
        if wanted.get(name) != earlier.get(name)
    ]


def _shorten(name: str, value: object) -> object:
    if value is None:
        return "not given"
    return str(value)[:8] if name.endswith("_sha256") else value


def read_sections(run: Location, name: str) -> dict[str, Section]:
    """Return all stages' sections of config.json or metrics.json; none if there is no such file.

    Raises:
        UserError: The file is corrupt.
    """
    if not (run / name).is_file():
        return {}
    text = (run / name).read_bytes()
    try:
        return {stage: dict(section) for stage, section in json.loads(text).items()}
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"{run / name} is corrupt ({error}): remove it, or choose another `run_dir`"
        ) from error


def describe_machine() -> str:
    """Return the cores, the processor and the versions that a run's metrics depend on."""
    packages = ("ray", "tensorflow", "torch")
    versions = ", ".join(f"{name} {installed_version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    return f"{num_usable_cores()} cores, {platform.machine()}, {python}, {versions}"


def _write_section(run: Location, name: str, stage: str, content: Section) -> None:
    sections = read_sections(run, name) | {stage: content}
    (run / name).write_text(json.dumps(sections, indent=1, allow_nan=False))


def _require_empty(run: Location) -> None:
    if run.exists() and not run.is_dir():
        raise UserError(f"{run} is a file: choose another `run_dir`")
    if found := run.list_dir():
        raise UserError(
            f"{run} holds {found[0].name} and is not a run folder: choose an empty or new `run_dir`"
        )
