"""What the CNN stage runs on workers. Imports TensorFlow inside the functions only, so that the driver never does.

Shapes: N clips, K classes.
"""

import os
import tempfile
import time
import traceback
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import tune
from ray.exceptions import RayError

from freqquest.audio.clip import ClipConfig
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.storage import Location

if TYPE_CHECKING:
    pass

OBJECTIVE = "validation/score"
"""What the search maximizes: accuracy on the validation clips, of the epoch that counts; mean over the folds begun."""

PREDICTIONS_NAME = "predictions.npz"
"""In a finished trial's checkpoint: `rows` `[N]` and `probabilities` `[N, K]` of all its validation clips."""

FINISHED, STOPPED = "finished", "stopped early"
"""What became of a trial; any other text is the reason why it failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTask:
    """What all trials of a search share."""

    clips: Any
    """LabeledClips in Ray's object store: once on a node, however many trials run there."""
    parts: list[SplitRows]
    clip: ClipConfig
    max_epochs: int
    logs: Location
    num_threads: int
    rungs: tuple[int, ...]
    """Epochs after which the scheduler may end a trial, so that its figures and pictures must be there by then."""

    @property
    def num_epochs(self) -> int:
        """Of all parts together."""
        return self.max_epochs * len(self.parts)


def run_trial(params: dict[str, Any], task: TrialTask) -> None:
    """One trial, in its own process: fit each part in turn, report every epoch, keep what the last one leaves.

    Raises:
        RayError, OSError, MemoryError: Something was lost, or storage or memory failed: the trial can begin again. What
            else goes wrong would do so again; it is reported.
    """
    from freqquest.cnn.training import fit, predict_probabilities, prepare_tensorflow

    # An ended trial trains on until its next report. Ray would wait 2 s for it, and then fail the trial that follows.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "600"
    prepare_tensorflow(task.num_threads, use_gpu=bool(ray.get_gpu_ids()))
    clips: LabeledClips = ray.get(task.clips)
    network = network_of(params)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(_TrialReporter(network, clips, task)) as diary,
    ):
        predictions = []
        try:
            for number, part in enumerate(task.parts):
                diary.begin(part)
                model = fit(
                    network,
                    clips,
                    part,
                    max_epochs=task.max_epochs,
                    seed=params["seed"],
                    on_epoch=diary.after_epoch,
                )
                predictions.append(
                    predict_probabilities(model, clips.spectrograms[part.validation])
                )
                diary.log_judgment(predictions[-1])
                diary.end_part()
                model.save(Path(folder) / f"model_{number}.keras")
        except (RayError, OSError, MemoryError):
            raise
        except Exception as error:
            diary.report_failure(error)
            return
        np.savez(
            Path(folder) / PREDICTIONS_NAME,
            rows=np.concatenate([part.validation for part in task.parts]),
            probabilities=np.concatenate(predictions),
        )
        diary.report(FINISHED, checkpoint=tune.Checkpoint.from_directory(folder))


def network_of(params: dict[str, Any]) -> CnnConfig:
    """A trial's parameters as the classifier's settings."""
    return CnnConfig(**{name: value for name, value in params.items() if name != "seed"})


class _TrialReporter:
    """A trial's figures: to Ray Tune, and to TensorBoard."""

    def __init__(self, network: CnnConfig, clips: LabeledClips, task: TrialTask) -> None:
        from freqquest.cnn.search.trial_logs import TrialLogs

        trial_id = tune.get_context().get_trial_id()
        self._logs = TrialLogs(task.logs / trial_id)
        self._logs.log_config(network, trial_id)
        self._network, self._clips, self._task = network, clips, task
        self._history: list[dict[str, float]] = []
        self._scores: list[float] = []
        self._epoch_of_fold, self._last_told = 0, 0
        self._seconds, self._started = 0.0, 0.0  # of training and validation

    def begin(self, part: SplitRows) -> None:
        """Another fold."""
        self._part = part
        self._scores.append(0.0)
        self._epoch_of_fold = 0
        self._started = time.perf_counter()

    def after_epoch(self, probabilities: np.ndarray, figures: dict[str, float]) -> None:
        """Note an epoch's figures; the scheduler may end the trial here."""
        accuracy = figures["validation/accuracy"]
        keeps_best = self._network.schedule == "plateau"
        self._scores[-1] = max(accuracy, self._scores[-1]) if keeps_best else accuracy
        self._seconds += time.perf_counter() - self._started
        now = {"fold": len(self._scores), "time": time.time(), "seconds": self._seconds}
        self._history.append(figures | now)
        self._logs.log_scalars(figures, len(self._history))
        self._epoch_of_fold += 1
        if self._at_rung:
            self.log_judgment(probabilities)
        if self._epoch < self._task.num_epochs:  # of the last one, the closing report tells
            self.report(STOPPED)
        self._started = time.perf_counter()

    def end_part(self) -> None:
        """Where a fold but the last ended early, its score counts at the rungs that it did not live to see."""
        if self._epoch_of_fold < self._task.max_epochs and len(self._scores) < len(
            self._task.parts
        ):
            self._epoch_of_fold = self._task.max_epochs
            self.report(STOPPED)

    @property
    def _epoch(self) -> int:
        """The scheduler's clock: each fold begins at the same time, also after a fold that ended early."""
        return (len(self._scores) - 1) * self._task.max_epochs + self._epoch_of_fold

    @property
    def _at_rung(self) -> bool:
        """The scheduler may end the trial at its next report."""
        return any(self._last_told < rung <= self._epoch for rung in self._task.rungs)

    def log_judgment(self, probabilities: np.ndarray) -> None:
        """Pictures and sounds of what the model takes for what."""
        self._logs.log_judgment(
            self._clips, self._part.validation, probabilities, self._task.clip, len(self._history)
        )

    def report(
        self, state: str, score: float | None = None, checkpoint: tune.Checkpoint | None = None
    ) -> None:
        """Tell Ray Tune where the trial stands, and what became of it if it ends here."""
        may_be_last = state != STOPPED or self._at_rung
        figures = {
            OBJECTIVE: float(np.mean(self._scores)) if score is None else score,
            "epoch": self._epoch if state == STOPPED else self._task.num_epochs,
            "scores": self._scores,
            "history": self._history if may_be_last else [],
            "state": state,
        }
        self._last_told = self._epoch
        tune.report(figures, checkpoint=checkpoint)

    def report_failure(self, error: Exception) -> None:
        """End the trial with what was raised; the traceback goes into the trial's folder."""
        from freqquest.cnn.training import DivergedError

        if isinstance(error, DivergedError):
            state = str(error)
        else:
            state = traceback.format_exception_only(error)[0].strip().splitlines()[0]
            storage = tune.get_context().get_storage()
            place = Location(storage.storage_filesystem, storage.trial_fs_path) / "error.txt"
            place.write_text("".join(traceback.format_exception(error)))
        # The worst score, as the scheduler takes a NaN for better than any.
        self.report(state, score=0.0)

    def close(self) -> None:
        """End the logs."""
        self._logs.close()
