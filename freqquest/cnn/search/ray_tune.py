"""Extensions of Ray Tune: its scheduler, its search algorithm, and its callbacks."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.logger import LoggerCallback
from ray.tune.result import TRAINING_ITERATION
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from freqquest.cluster import ray_internals
from freqquest.cnn.search.outcome import OBJECTIVE, TrialReport
from freqquest.progress import Progress
from freqquest.runs.metrics import Settings
from freqquest.runs.tracker import Attempts, TrackerStore, hidden_key, open_callback

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


def index_of_point(params: Settings, points: Sequence[Settings]) -> int:
    """Return the index of the first point that these settings match, or the number of points."""
    matches = [all(params.get(name) == value for name, value in point.items()) for point in points]
    return matches.index(True) if True in matches else len(points)


class ProtectedASHA(ASHAScheduler):  # type: ignore[misc]  # Ray is untyped
    """ASHA that never stops one point early: the preset, which all others must beat."""

    def __init__(self, protected: Settings, *, max_t: int, **settings: object) -> None:
        super().__init__(max_t=max_t, **settings)
        self._protected, self._last_epoch = protected, max_t

    def on_trial_add(self, tune_controller: object, trial: "Trial") -> None:
        """Enter the scores of a trial of an interrupted search, which Ray Tune forgets."""
        super().on_trial_add(tune_controller, trial)
        scores = (trial.last_result or {}).get("rung_scores", [])
        ray_internals.enter_rungs(self, trial.trial_id, dict(scores))

    def on_trial_result(self, tune_controller: object, trial: "Trial", result: TrialReport) -> str:
        action = super().on_trial_result(tune_controller, trial, result)
        is_protected = index_of_point(trial.config, [self._protected]) == 0
        if is_protected and result["epoch"] < self._last_epoch:
            return str(self.CONTINUE)
        return str(action)


class ResumableOptunaSearch(OptunaSearch):  # type: ignore[misc]  # Ray is untyped
    """Optuna's TPE for searches that can be interrupted.

    A killed search may leave trials that the last saved state does not contain. They are ignored
    instead of failing the resumed search.
    """

    def on_trial_result(self, trial_id: str, result: TrialReport) -> None:
        """Ignore epochs: TPE learns from final scores, and warns about restarted trials."""

    def on_trial_complete(
        self, trial_id: str, result: TrialReport | None = None, error: bool = False
    ) -> None:
        if ray_internals.knows_trial(self, trial_id):
            super().on_trial_complete(trial_id, result, error)


class SearchProgress(tune.Callback):  # type: ignore[misc]  # Ray is untyped
    """Shows the search's progress in the driver, in epochs of all trials."""

    def __init__(self, num_trials: int, num_epochs: int) -> None:
        self._num_trials, self._num_epochs = num_trials, num_epochs
        # Created when the search starts, because Ray Tune saves this object with the search.
        self._progress: Progress | None = None
        self._done: dict[str, int] = {}
        self._num_ended, self._num_restarted, self._best = 0, 0, 0.0

    def on_step_begin(self, iteration: int, trials: list["Trial"], **info: object) -> None:
        if self._progress is None:
            self._begin(trials)

    def _begin(self, trials: list["Trial"]) -> Progress:
        """Show the progress, with what an interrupted search had done."""
        self._progress = Progress("tune", self._num_trials * self._num_epochs, "epochs")
        kept = [trial for trial in trials if trial.is_finished()]
        self._done = {trial.trial_id: trial.last_result.get("epoch", 0) for trial in trials}
        self._done |= {trial.trial_id: self._num_epochs for trial in kept}
        self._num_ended = len(kept)
        self._best = max((trial.last_result.get(OBJECTIVE, 0.0) for trial in kept), default=0.0)
        self._progress.begin_at(sum(self._done.values()), self._note)
        return self._progress

    def on_trial_result(
        self,
        iteration: int,
        trials: list["Trial"],
        trial: "Trial",
        result: TrialReport,
        **info: object,
    ) -> None:
        self._best = max(self._best, result[OBJECTIVE])
        self._advance(trial, min(result["epoch"], self._num_epochs))

    def on_trial_recover(
        self, iteration: int, trials: list["Trial"], trial: "Trial", **info: object
    ) -> None:
        self._num_restarted += 1  # the next result tells from where it goes on

    def on_trial_complete(
        self, iteration: int, trials: list["Trial"], trial: "Trial", **info: object
    ) -> None:
        self._end(trial)

    def on_trial_error(
        self, iteration: int, trials: list["Trial"], trial: "Trial", **info: object
    ) -> None:
        self._end(trial)

    def on_experiment_end(self, trials: list["Trial"], **info: object) -> None:
        (self._progress or self._begin(trials)).close()

    def _end(self, trial: "Trial") -> None:
        """Count the epochs that an early end skips as done."""
        self._num_ended += 1
        self._advance(trial, self._num_epochs)

    def _advance(self, trial: "Trial", epoch: int) -> None:
        if self._progress is not None:
            self._progress.update(epoch - self._done.get(trial.trial_id, 0), self._note)
            self._done[trial.trial_id] = epoch

    @property
    def _note(self) -> str:
        lost = f", {self._num_restarted} lost and resumed" if self._num_restarted else ""
        return (
            f"{self._num_ended}/{self._num_trials} trials done{lost}, best validation "
            f"score {self._best:.3f}"
        )


class TrialTracker(LoggerCallback):  # type: ignore[misc]  # Ray is untyped
    """Hands each trial and epoch to a tracker by Ray Tune's own callback, whose errors end nothing.

    A resumed search goes on in the same runs.
    """

    def __init__(self, store: TrackerStore) -> None:
        self._store, self._attempts = store, Attempts(store.tracker)
        self._callback: Any = None
        self._run_ids: dict[str, str] = {}
        """Run in MLflow of each trial."""
        self._started: set[str] = set()

    def __getstate__(self) -> dict[str, object]:
        """Leave nothing in Ray Tune's files: a resumed search brings its own store."""
        return {}

    def get_state(self) -> dict[str, dict[str, str]]:
        return {self._store.key: self._run_ids}

    def set_state(self, state: dict[str, dict[str, str]]) -> None:
        self._run_ids = state.get(self._store.key, {})

    def log_trial_start(self, trial: "Trial") -> None:
        self._attempts(partial(self._start, trial))

    def log_trial_result(self, iteration: int, trial: "Trial", result: TrialReport) -> None:
        """Log the metrics of an epoch by their names in TensorBoard, and the score."""
        if result["new_metrics"]:
            score, step = {OBJECTIVE: result[OBJECTIVE]}, {TRAINING_ITERATION: result["step"]}
            metrics = result["new_metrics"] | score | step
            self._attempts(lambda: self._start(trial).log_trial_result(iteration, trial, metrics))

    def log_trial_end(self, trial: "Trial", failed: bool = False) -> None:
        self._attempts(lambda: self._start(trial).log_trial_end(trial, failed), is_last=True)

    def on_experiment_end(self, trials: list["Trial"], **info: object) -> None:
        if self._callback is not None:
            end = partial(self._callback.on_experiment_end, trials, **info)
            self._attempts(end, is_last=True)

    def _start(self, trial: "Trial") -> Any:
        """Return Ray Tune's callback, which knows the trial; an earlier attempt may have failed."""
        if self._callback is None:
            self._callback = open_callback(self._store)
        if trial.trial_id not in self._started:
            runs = ray_internals.mlflow_runs(self._callback)
            if trial.trial_id in self._run_ids:
                runs.setdefault(trial, self._run_ids[trial.trial_id])
            with hidden_key():
                self._callback.log_trial_start(trial)
            self._run_ids |= {each.trial_id: run_id for each, run_id in runs.items()}
            self._started.add(trial.trial_id)
        return self._callback
