"""One trial of the search: train on each split, report each epoch to Ray Tune, keep the result.

Runs in workers. Keras is imported inside the functions, so that the driver never loads it.
Shapes: N clips, K classes.
"""

import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import ray
from ray import tune
from ray.exceptions import RayError

from freqquest.audio.clip import ClipConfig
from freqquest.cluster import ray_internals
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.save_timer import SAVE_INTERVAL_S, SaveTimer
from freqquest.cnn.search.outcome import (
    FINISHED,
    OBJECTIVE,
    STOPPED,
    TrialReport,
)
from freqquest.cnn.search.space import cnn_config_of
from freqquest.cnn.search.trial_progress import PROGRESS_DIR, TrialFolder
from freqquest.cnn.start_weights import StartWeights
from freqquest.runs.metrics import Settings
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

    from freqquest.cnn.training import Epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTask:
    """Inputs that all trials of a search share."""

    shared_clips: ray.ObjectRef
    """LabeledClips in Ray's object store: one copy per node, for any number of trials."""
    splits: list[SplitRows]
    clip: ClipConfig
    max_epochs: int
    logs: Location
    device: Device
    rungs: tuple[int, ...]
    """Epochs after which the scheduler may stop a trial, so that its metrics and plots must be
    complete by then."""
    start: StartWeights | None = None
    """Weights of an earlier model; random ones by default."""
    save_interval_s: float = SAVE_INTERVAL_S

    @property
    def num_epochs(self) -> int:
        """Sum over all splits."""
        return self.max_epochs * len(self.splits)


def run_trial(params: Settings, task: TrialTask) -> None:
    """Run one trial in its own process: train on each split in turn, and save the predictions.

    A trial that was interrupted goes on after the epoch that it has saved last.

    Raises:
        RayError, OSError, MemoryError: A process was lost, or storage or memory failed; the trial
            can go on in another. Any other error would occur again, so it is reported as the
            outcome.
    """
    ray_internals.wait_for_stopped_trials()
    prepare(task.device)
    clips: LabeledClips = ray.get(task.shared_clips)
    cnn_config = cnn_config_of(params)
    folder = TrialFolder(ray_internals.trial_folder() / PROGRESS_DIR)
    with closing(_TrialReporter(cnn_config, clips, task, folder)) as reporter:
        try:
            for split in task.splits[folder.progress.num_splits :]:
                fit_split = partial(
                    _fit_split, cnn_config, clips, split, int(params["seed"]), task, reporter
                )
                saved = folder.pop_training()
                reporter.end_split(*_go_on(fit_split, saved, folder))
        except (RayError, OSError, MemoryError):
            raise
        except Exception as error:
            reporter.report_failure(error)
            return
        with folder.finished() as checkpoint:
            reporter.report(FINISHED, checkpoint=checkpoint)


def _go_on(
    fit_split: "Callable[[bytes | None], tuple[keras.Model, np.ndarray]]",
    saved: bytes | None,
    folder: TrialFolder,
) -> "tuple[keras.Model, np.ndarray]":
    """Train on a split, from a saved state if there is one that can be used."""
    from freqquest.cnn.training_state import UnusableStateError

    if saved is not None:
        try:
            return fit_split(saved)
        except UnusableStateError as error:
            print(f"a split is trained on again, because its saved state cannot be used: {error}")
    folder.forget_split()
    return fit_split(None)


def _fit_split(
    cnn_config: CnnConfig,
    clips: LabeledClips,
    split: SplitRows,
    seed: int,
    task: TrialTask,
    reporter: "_TrialReporter",
    saved: bytes | None,
) -> "tuple[keras.Model, np.ndarray]":
    """Train on a split; return the network, and its predictions of the validation clips."""
    from freqquest.cnn.training import fit

    reporter.begin(split, goes_on=saved is not None)
    model = fit(
        cnn_config,
        clips,
        split,
        max_epochs=task.max_epochs,
        seed=seed,
        on_epoch=reporter.after_epoch,
        saved=saved,
        start=task.start,
        device=task.device,
    )
    return model, predict_probabilities(model, clips.inputs(split.validation))


class _TrialReporter:
    """Reports a trial's metrics to Ray Tune and to TensorBoard, and saves the trial."""

    def __init__(
        self, cnn_config: CnnConfig, clips: LabeledClips, task: TrialTask, folder: TrialFolder
    ) -> None:
        from freqquest.cnn.search.trial_logs import TrialLogs

        trial_id = tune.get_context().get_trial_id()
        self._folder, self._progress = folder, folder.progress
        self._logs = TrialLogs(task.logs / trial_id)
        self._logs.log_config(cnn_config, trial_id)
        self._logs.log_history(self._progress.history)
        self._keeps_best = cnn_config.schedule == "plateau"
        self._clips, self._task = clips, task
        self._timer = SaveTimer(task.save_interval_s)
        self._goes_on = bool(self._progress.history)
        self._new_metrics: dict[str, float] = {}
        self._started = 0.0

    def begin(self, split: SplitRows, *, goes_on: bool) -> None:
        """Begin another split, or go on with one whose training was interrupted."""
        self._split = split
        if not goes_on:
            self._progress.scores.append(0.0)
            self._progress.epoch_of_split = 0
        self._started = time.perf_counter()

    def after_epoch(self, epoch: "Epoch") -> None:
        """Record, save and report an epoch; the scheduler may stop the trial here."""
        now = self._progress
        score = epoch.metrics[self._clips.score.metric]
        now.scores[-1] = max(score, now.scores[-1]) if self._keeps_best else score
        now.seconds += time.perf_counter() - self._started
        beside = {"fold": len(now.scores), "time": time.time(), "seconds": now.seconds}
        now.history.append(epoch.metrics | beside)
        self._new_metrics = epoch.metrics
        self._logs.log_scalars(epoch.metrics, len(now.history))
        now.epoch_of_split += 1
        if self._passed_rungs:
            self._log_predictions(epoch.probabilities)
        if self._epoch < self._task.num_epochs:  # the final report covers the last epoch
            self.report(STOPPED, epoch=epoch)
        self._started = time.perf_counter()

    def end_split(self, model: "keras.Model", probabilities: np.ndarray) -> None:
        """Keep a split's network and predictions.

        If it ended early, skip its remaining epochs, so that its score counts there.
        """
        self._log_predictions(probabilities)
        self._folder.end_split(model, self._split.validation, probabilities)
        now = self._progress
        if now.epoch_of_split < self._task.max_epochs and len(now.scores) < len(self._task.splits):
            now.epoch_of_split = self._task.max_epochs
            self.report(STOPPED)

    @property
    def _epoch(self) -> int:
        """The scheduler's clock: each split begins at the same epoch, even after an early end."""
        return (len(self._progress.scores) - 1) * self._task.max_epochs + (
            self._progress.epoch_of_split
        )

    @property
    def _passed_rungs(self) -> list[int]:
        """Epochs since the last report after which the scheduler may stop the trial."""
        last = self._progress.last_reported
        return [rung for rung in self._task.rungs if last < rung <= self._epoch]

    def _log_predictions(self, probabilities: np.ndarray) -> None:
        """Log plots and sounds of the current split's validation clips."""
        epoch = len(self._progress.history)
        self._logs.log_predictions(
            self._clips, self._split.validation, probabilities, self._task.clip, epoch
        )

    def report(
        self,
        state: str,
        score: float | None = None,
        epoch: "Epoch | None" = None,
        checkpoint: tune.Checkpoint | None = None,
    ) -> None:
        """Report to Ray Tune the progress of the trial, and its state if it ends here."""
        now = self._progress
        score = float(np.mean(now.scores)) if score is None else score
        passed = self._passed_rungs
        now.rung_scores += [[rung, score] for rung in passed]
        has_history = passed or state != STOPPED or self._goes_on
        report: TrialReport = {
            OBJECTIVE: score,
            "epoch": self._epoch if state == STOPPED else self._task.num_epochs,
            "scores": now.scores,
            "history": now.history if has_history else [],
            "state": state,
            "rung_scores": now.rung_scores,
            "step": len(now.history),
            "new_metrics": self._new_metrics,
        }
        now.last_reported, self._goes_on, self._new_metrics = self._epoch, False, {}
        if epoch is not None and self._timer.is_due():
            self._folder.save_training(epoch.save())
        tune.report(report, checkpoint=checkpoint)

    def report_failure(self, error: Exception) -> None:
        """End the trial with an error, and write its traceback into the trial's folder."""
        from freqquest.cnn.training import DivergedError

        if isinstance(error, DivergedError):
            state = str(error)
        else:
            state = traceback.format_exception_only(error)[0].strip().splitlines()[0]
            text = "".join(traceback.format_exception(error))
            (ray_internals.trial_folder() / "error.txt").write_text(text)
        # The lowest score, because the scheduler ranks NaN above all others.
        self.report(state, score=0.0)

    def close(self) -> None:
        """Close the logs."""
        self._logs.close()
