"""One trial of the search: train on each split, report each epoch to Ray Tune, keep the result.

Runs in workers. Keras is imported inside the functions, so that the driver never loads it.
Shapes: N clips, K classes.
"""

import tempfile
import time
import traceback
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

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
from freqquest.cnn.search.outcome import (
    FINISHED,
    OBJECTIVE,
    PREDICTIONS_NAME,
    STOPPED,
    TrialReport,
)
from freqquest.cnn.search.space import cnn_config_of
from freqquest.dataset.clip_inputs import Inputs
from freqquest.runs.metrics import Settings
from freqquest.storage import Location


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

    @property
    def num_epochs(self) -> int:
        """Sum over all splits."""
        return self.max_epochs * len(self.splits)


def run_trial(params: Settings, task: TrialTask) -> None:
    """Run one trial in its own process: train on each split in turn, and save the predictions.

    Raises:
        RayError, OSError, MemoryError: A process was lost, or storage or memory failed; the trial
            can be restarted. Any other error would occur again, so it is reported as the outcome.
    """
    ray_internals.wait_for_stopped_trials()
    prepare(task.device)
    from freqquest.cnn.training import fit

    clips: LabeledClips = ray.get(task.shared_clips)
    cnn_config = cnn_config_of(params)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(_TrialReporter(cnn_config, clips, task)) as reporter,
    ):
        predictions = []
        try:
            for number, split in enumerate(task.splits):
                reporter.begin(split)
                model = fit(
                    cnn_config,
                    clips,
                    split,
                    max_epochs=task.max_epochs,
                    seed=int(params["seed"]),
                    on_epoch=reporter.after_epoch,
                    device=task.device,
                )
                predictions.append(
                    predict_probabilities(model, Inputs(clips.spectrograms[split.validation]))
                )
                reporter.log_predictions(predictions[-1])
                reporter.end_split()
                model.save(Path(folder) / f"model_{number}.keras")
        except (RayError, OSError, MemoryError):
            raise
        except Exception as error:
            reporter.report_failure(error)
            return
        np.savez(
            Path(folder) / PREDICTIONS_NAME,
            rows=np.concatenate([split.validation for split in task.splits]),
            probabilities=np.concatenate(predictions),
        )
        reporter.report(FINISHED, checkpoint=tune.Checkpoint.from_directory(folder))


class _TrialReporter:
    """Reports a trial's metrics to Ray Tune and to TensorBoard."""

    def __init__(self, cnn_config: CnnConfig, clips: LabeledClips, task: TrialTask) -> None:
        from freqquest.cnn.search.trial_logs import TrialLogs

        trial_id = tune.get_context().get_trial_id()
        self._logs = TrialLogs(task.logs / trial_id)
        self._logs.log_config(cnn_config, trial_id)
        self._keeps_best = cnn_config.schedule == "plateau"
        self._clips, self._task = clips, task
        self._history: list[dict[str, float]] = []
        self._scores: list[float] = []
        self._epoch_of_split, self._last_reported = 0, 0
        self._seconds, self._started = 0.0, 0.0  # of training and validation

    def begin(self, split: SplitRows) -> None:
        """Begin another split."""
        self._split = split
        self._scores.append(0.0)
        self._epoch_of_split = 0
        self._started = time.perf_counter()

    def after_epoch(self, probabilities: np.ndarray, metrics: dict[str, float]) -> None:
        """Record and report an epoch; the scheduler may stop the trial here."""
        score = metrics[self._clips.score.metric]
        self._scores[-1] = max(score, self._scores[-1]) if self._keeps_best else score
        self._seconds += time.perf_counter() - self._started
        now = {"fold": len(self._scores), "time": time.time(), "seconds": self._seconds}
        self._history.append(metrics | now)
        self._logs.log_scalars(metrics, len(self._history))
        self._epoch_of_split += 1
        if self._at_rung:
            self.log_predictions(probabilities)
        if self._epoch < self._task.num_epochs:  # the final report covers the last epoch
            self.report(STOPPED)
        self._started = time.perf_counter()

    def end_split(self) -> None:
        """Skip the remaining epochs of a split that ended early, so that its score counts there."""
        if self._epoch_of_split < self._task.max_epochs and len(self._scores) < len(
            self._task.splits
        ):
            self._epoch_of_split = self._task.max_epochs
            self.report(STOPPED)

    @property
    def _epoch(self) -> int:
        """The scheduler's clock: each split begins at the same epoch, even after an early end."""
        return (len(self._scores) - 1) * self._task.max_epochs + self._epoch_of_split

    @property
    def _at_rung(self) -> bool:
        """Return whether the scheduler may stop the trial at its next report."""
        return any(self._last_reported < rung <= self._epoch for rung in self._task.rungs)

    def log_predictions(self, probabilities: np.ndarray) -> None:
        """Log plots and sounds of the current split's validation clips."""
        self._logs.log_predictions(
            self._clips, self._split.validation, probabilities, self._task.clip, len(self._history)
        )

    def report(
        self, state: str, score: float | None = None, checkpoint: tune.Checkpoint | None = None
    ) -> None:
        """Report to Ray Tune the progress of the trial, and its state if it ends here."""
        may_be_last = state != STOPPED or self._at_rung
        report: TrialReport = {
            OBJECTIVE: float(np.mean(self._scores)) if score is None else score,
            "epoch": self._epoch if state == STOPPED else self._task.num_epochs,
            "scores": self._scores,
            "history": self._history if may_be_last else [],
            "state": state,
        }
        self._last_reported = self._epoch
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
