"""What Ray Tune is told of a search: when a trial ends early, what is tried next, and how it is shown."""

from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from freqquest.cnn.search.trial import OBJECTIVE
from freqquest.progress import Progress


def position(params: dict[str, Any], points: list[dict[str, Any]]) -> int:
    """Which of the points that the search began with these settings are; behind them, where they are none."""
    matches = [all(params.get(name) == value for name, value in point.items()) for point in points]
    return matches.index(True) if True in matches else len(points)


class Scheduler(ASHAScheduler):
    """ASHA, but for the first point, the preset: it runs to its end, as all others must beat it."""

    def __init__(self, first_point: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self._first_point = first_point

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        action = super().on_trial_result(tune_controller, trial, result)
        if position(trial.config, [self._first_point]) == 0 and result["epoch"] < self._max_t:
            return str(self.CONTINUE)
        return str(action)


class Proposer(OptunaSearch):
    """Optuna's TPE. A killed search may leave trials that its last saved state does not know: it learns nothing of
    them, instead of failing.
    """

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """TPE learns from final scores alone; Optuna would warn of each epoch of a trial that began again."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id in self._ot_trials:
            super().on_trial_complete(trial_id, result, error)


class Watch(tune.Callback):
    """Shows the search's progress in the driver, in epochs of all trials."""

    def __init__(self, num_trials: int, num_epochs: int) -> None:
        self._num_trials, self._num_epochs = num_trials, num_epochs
        self._progress: Progress | None = (
            None  # made when the search starts: this object is saved with it
        )
        self._done: dict[str, int] = {}
        self._num_ended, self._num_begun_again, self._best = 0, 0, 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._progress is None:
            self._begin(trials)

    def _begin(self, trials: list[Any]) -> Progress:
        """Trials that an interrupted search had finished are done."""
        self._progress = Progress("tune", self._num_trials * self._num_epochs, "epochs")
        kept = [trial for trial in trials if trial.is_finished()]
        self._done = {trial.trial_id: self._num_epochs for trial in kept}
        self._num_ended = len(kept)
        self._best = max((trial.last_result.get(OBJECTIVE, 0.0) for trial in kept), default=0.0)
        self._progress.begin_at(sum(self._done.values()), self._note)
        return self._progress

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._best = max(self._best, result[OBJECTIVE])
        self._advance(trial, min(result["epoch"], self._num_epochs))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._num_begun_again += 1
        self._advance(trial, 0)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        (self._progress or self._begin(trials)).close()

    def _end(self, trial: Any) -> None:
        """An early end makes the remaining work less."""
        self._num_ended += 1
        self._advance(trial, self._num_epochs)

    def _advance(self, trial: Any, epoch: int) -> None:
        if self._progress is not None:
            self._progress.update(epoch - self._done.get(trial.trial_id, 0), self._note)
            self._done[trial.trial_id] = epoch

    @property
    def _note(self) -> str:
        again = f", {self._num_begun_again} lost and begun again" if self._num_begun_again else ""
        return f"{self._num_ended}/{self._num_trials} trials done{again}, best validation accuracy {self._best:.3f}"
