"""A run folder: `config.json` and `metrics.json` with one section a stage, and the stages' own files beside them.

A stage's section in metrics.json is written last, so it says that the stage is finished.
"""

import json
import os
import platform
import sys
from importlib.metadata import version
from typing import Any

from freqquest.errors import UserError
from freqquest.runs.lock import lock
from freqquest.storage import Location, locate

CONFIG_NAME = "config.json"
METRICS_NAME = "metrics.json"
TENSORBOARD_DIR = "tensorboard"


class RunFolder:
    """One stage's hold on a run folder."""

    def __init__(self, run_dir: str, stage: str, settings: dict[str, Any]) -> None:
        """Look whether the folder can take the stage; nothing is written yet.

        Args:
            run_dir: Path or URI of the folder.
            stage: Name of the stage's sections.
            settings: All that shapes the stage's results, JSON-compatible.

        Raises:
            UserError: The folder is something else, or holds this stage with other settings.
        """
        self.location = locate(run_dir)
        self.stage = stage
        self._settings = json.loads(json.dumps(settings))
        sections = read_sections(self.location, CONFIG_NAME)
        if not sections:
            _require_empty(self.location)
        changed = changed_settings(self._settings, sections.get(stage, self._settings))
        if changed:
            raise UserError(
                f"{self.location} holds a {stage} run with other settings: {', '.join(changed)}; "
                "choose another --run-dir, or remove that one"
            )

    def __truediv__(self, name: str) -> Location:
        return self.location / name

    def begin(self) -> None:
        """Record the stage's settings, which binds the folder to them: before work that can be interrupted.

        Raises:
            UserError: Another process is at work in the folder.
        """
        self._lock = lock(self.location)
        if self.stage not in read_sections(self.location, CONFIG_NAME):
            _write_section(self.location, CONFIG_NAME, self.stage, self._settings)

    def finished(self) -> dict[str, Any] | None:
        """The stage's metrics, if it was finished before, which is told."""
        metrics = read_sections(self.location, METRICS_NAME).get(self.stage)
        if metrics is not None:
            print(f"{self.stage}: finished before, and kept", file=sys.stderr)
        return metrics

    def finish(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Record the stage's settings and metrics, which marks it as finished; returns the metrics."""
        self.begin()
        _write_section(
            self.location, METRICS_NAME, self.stage, metrics | {"machine": describe_machine()}
        )
        return metrics


def changed_settings(wanted: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What differs between the settings asked for and those of an earlier result, for people."""
    return [
        f"{name}={_short(name, wanted)} (there: {_short(name, there)})"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    ]


def _short(name: str, settings: dict[str, Any]) -> Any:
    value = settings.get(name)
    if value is None:
        return "not given"
    return value[:8] if name.endswith("_sha256") and value else value


def read_sections(run: Location, name: str) -> dict[str, dict[str, Any]]:
    """All stages' sections of config.json or metrics.json; none where the file is missing.

    Raises:
        UserError: The file is damaged.
    """
    if not (run / name).is_file():
        return {}
    try:
        sections: dict[str, dict[str, Any]] = json.loads((run / name).read_text())
    except ValueError as error:
        raise UserError(
            f"{run / name} is damaged ({error}): remove it, or choose another --run-dir"
        ) from error
    return sections


def describe_machine() -> str:
    """Where a run took place, for its figures."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "tensorflow", "torch"))
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def _write_section(run: Location, name: str, stage: str, content: dict[str, Any]) -> None:
    sections = read_sections(run, name) | {stage: content}
    (run / name).write_text(json.dumps(sections, indent=1, allow_nan=False))


def _require_empty(run: Location) -> None:
    if run.exists() and not run.is_dir():
        raise UserError(f"{run} is a file: choose another --run-dir")
    if found := run.list_dir():
        raise UserError(
            f"{run} holds {found[0].name} and is no run folder: choose an empty or new --run-dir"
        )
