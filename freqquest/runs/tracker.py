"""MLflow and Weights & Biases beside TensorBoard: the choice, the place, and calls that may fail.

Light to import: Ray and the trackers are loaded by the functions.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from unittest import mock

from freqquest.errors import UserError

if TYPE_CHECKING:
    from freqquest.storage import Location

Tracker = Literal["mlflow", "wandb"]

UPLOAD_TIMEOUT_S = 60
"""Longest wait for the uploads of Weights & Biases at the end."""

_TIMEOUTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "WANDB_INIT_TIMEOUT": "20",
}
"""Environment variables that limit the wait for a server that does not answer, unless the user has
set them. MLflow would try for minutes."""

_KEY_VARIABLE = "WANDB_API_KEY"

_PAUSE_S = 60.0
"""Time without calls of a tracker after one that failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerStore:
    """The place of a run folder's runs in a tracker."""

    tracker: Tracker
    group: str
    """Name of the run folder."""
    experiment: str
    """Experiment of MLflow, or project of Weights & Biases."""
    path: str
    """Tracking URI of MLflow, or local folder of the files of Weights & Biases."""
    mode: str | None
    """Mode of Weights & Biases, such as offline."""

    @property
    def key(self) -> str:
        """Hash of the place, for records of runs: a URI may hold a password."""
        place = self.path if self.tracker == "mlflow" else self.experiment
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Prepare this process for the tracker.

        Raises:
            UserError: Its package is not installed here.
        """
        require_tracker(self.tracker)
        for name, value in _TIMEOUTS.items():
            os.environ.setdefault(name, value)
        if self.mode is not None:
            os.environ.setdefault("WANDB_MODE", self.mode)


def tracker_store(tracker: Tracker, run: "Location") -> TrackerStore:
    """Return the store that this process's environment names, or the tracker's default."""
    variables = {
        "mlflow": ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"),
        "wandb": ("WANDB_PROJECT", "WANDB_DIR", str(Path.cwd())),
    }
    experiment, path_variable, default = variables[tracker]
    # Workers run in other folders.
    path = os.environ.get(path_variable) or default
    path = re.sub(r"^sqlite:///(?!/)", f"sqlite:///{Path.cwd()}/", path)
    if tracker == "wandb":
        path = str(Path(path).absolute())
    return TrackerStore(
        tracker=tracker,
        group=run.name,
        experiment=os.environ.get(experiment) or run.name,
        path=path,
        mode=os.environ.get("WANDB_MODE"),
    )


def require_tracker(tracker: Tracker | None) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
        UserError: It is not installed; the text says how to install it.
    """
    # A folder of the same name, such as one of Weights & Biases' files, has no origin.
    if tracker is not None and getattr(find_spec(tracker), "origin", None) is None:
        raise UserError(
            f"`track={tracker}` needs the package {tracker}, which is not installed: "
            f"pip install 'freqquest[{tracker}]' (in a checkout: "
            f".venv/bin/pip install -e '.[{tracker}]')"
        )


@contextmanager
def hidden_key() -> Iterator[None]:
    """Hide the key of Weights & Biases from Ray's callback, with which it would enter Ray's logs.

    `open_callback` has given it to the callback in another way.
    """
    with mock.patch.dict(os.environ):
        os.environ.pop(_KEY_VARIABLE, None)
        yield


def open_callback(store: TrackerStore) -> Any:
    """Return Ray Tune's own callback for a tracker, ready for trials."""
    store.prepare()
    callback: Any
    if store.tracker == "mlflow":
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        tags = {"run_folder": store.group}
        callback = MLflowLoggerCallback(
            tracking_uri=store.path, experiment_name=store.experiment, tags=tags
        )
    else:
        import wandb
        from ray.air.integrations.wandb import WandbLoggerCallback

        callback = WandbLoggerCallback(
            project=store.experiment,
            group=store.group,
            dir=store.path,
            mode=store.mode,
            resume="allow",
            upload_timeout=UPLOAD_TIMEOUT_S,
            settings=wandb.Settings(api_key=os.environ.get(_KEY_VARIABLE)),
        )
    callback.setup()
    return callback


class Attempts:
    """Calls of a tracker, whose failures end no training: after one, there is a pause.

    ```python
    attempts = Attempts("mlflow")
    attempts(lambda: client.log_metric(run_id, "loss", 0.5))
    attempts.problem  # "mlflow failed (...)", or None
    ```
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self._next_time = tracker, float("-inf")
        self.problem: str | None = None
        """The first failure, in one line."""

    def __call__(self, call: Callable[[], object], *, is_last: bool = False) -> None:
        """Call a function that uses the tracker, unless one failed a moment ago.

        Args:
            call: The function.
            is_last: Call it nevertheless, as there will be no later chance.
        """
        if time.monotonic() < self._next_time and not is_last:
            return
        try:
            call()
        except Exception as error:
            self._next_time = time.monotonic() + _PAUSE_S
            if self.problem is None:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                reason = re.sub(r"//[^/@\s]+@", "//...@", reason)  # may hold a password
                self.problem = f"{self._tracker} failed ({reason:.200})"
                print(
                    f"warning: {self.problem}; training goes on, and {self._tracker} is tried "
                    f"again every {_PAUSE_S:.0f} s: until then, epochs are in TensorBoard alone",
                    file=sys.stderr,
                )
