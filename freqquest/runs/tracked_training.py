"""One training's run in MLflow or Weights & Biases, by Ray's integrations.

Light to import: Ray and the trackers are loaded by the functions.
"""

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from freqquest.runs.tracker import UPLOAD_TIMEOUT_S, Attempts, TrackerStore

if TYPE_CHECKING:
    from freqquest.storage import Location


class TrackedTraining:
    """A training's run, which its first epoch opens, in whichever process trains.

    A training that goes on, in another process or on another day, goes on in the same run.

    ```python
    tracked = TrackedTraining(store, "generator", {"epochs": 2}, folder / "tracked_run.json")
    tracked.log(1, {"loss/loss_G": 0.7})
    tracked.close()
    ```
    """

    def __init__(
        self, store: TrackerStore, name: str, settings: Mapping[str, object], record: "Location"
    ) -> None:
        """Describe the run.

        Args:
            store: Its place.
            name: Its name.
            settings: Settings of the training.
            record: File that keeps the run's ID.
        """
        self._store, self._name, self._settings, self._record = store, name, settings, record
        self._attempts = Attempts(store.tracker)
        self._log: Callable[..., object] | None = None
        self._end: Callable[[], object] | None = None

    @property
    def problem(self) -> str | None:
        """The first failure of the tracker, in one line."""
        return self._attempts.problem

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics."""
        # Names of classes may have characters that MLflow refuses.
        named = {re.sub(r"[^\w./ -]", "_", name): value for name, value in metrics.items()}
        self._attempts(partial(self._log_epoch, epoch, named))

    def close(self) -> None:
        """End the run."""
        if self._end is not None:
            self._attempts(self._end, is_last=True)

    def _log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        if self._log is None:
            self._store.prepare()
            is_mlflow = self._store.tracker == "mlflow"
            self._log, self._end = self._open_mlflow() if is_mlflow else self._open_wandb()
        self._log(metrics, step=epoch)

    def _open_mlflow(self) -> tuple[Callable[..., object], Callable[[], object]]:
        from ray.air.integrations.mlflow import setup_mlflow

        run_id = self._recorded_id()
        if run_id is not None and _is_open_to(self._store.path, run_id):
            os.environ["MLFLOW_RUN_ID"] = run_id  # the run that MLflow opens next
        mlflow = setup_mlflow(
            self._settings,
            tracking_uri=self._store.path,
            experiment_name=self._store.experiment,
            run_name=self._name,
            create_experiment_if_not_exists=True,
            tags={"run_folder": self._store.group},
        )
        run_id = mlflow.active_run().info.run_id  # of this thread; others need the ID
        self._record_id(run_id)
        end = partial(mlflow.MlflowClient(self._store.path).set_terminated, run_id)
        return partial(mlflow.log_metrics, run_id=run_id), end

    def _open_wandb(self) -> tuple[Callable[..., object], Callable[[], object]]:
        from ray.air.integrations.wandb import setup_wandb

        run_id = self._recorded_id() or uuid.uuid4().hex[:8]
        run = setup_wandb(
            self._settings,
            project=self._store.experiment,
            group=self._store.group,
            trial_id=run_id,
            trial_name=self._name,
            dir=self._store.path,
            mode=self._store.mode,
            resume="allow",
        )
        self._record_id(run_id)
        return run.log, partial(_finish, run)

    def _recorded_id(self) -> str | None:
        """Return the ID of an interrupted training's run in the same store."""
        if not self._record.is_file():
            return None
        run_id: str | None = json.loads(self._record.read_text()).get(self._store.key)
        return run_id

    def _record_id(self, run_id: str) -> None:
        self._record.write_text(json.dumps({self._store.key: run_id}))


def _is_open_to(tracking_uri: str, run_id: str) -> bool:
    """Return whether MLflow still has a run: users may have deleted it."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        stage: str = MlflowClient(tracking_uri).get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return stage == "active"


def _finish(run: Any) -> None:
    """End a run of Weights & Biases, whose uploads would wait for a lost network forever."""
    thread = threading.Thread(target=run.finish, daemon=True)
    thread.start()
    thread.join(UPLOAD_TIMEOUT_S)
