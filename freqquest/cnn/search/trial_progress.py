"""What a trial has done so far, in its folder, so that another process goes on with it.

It is not one of Ray Tune's checkpoints until the trial has finished: Ray Tune saves its own state
later than a checkpoint, and cannot go on where that state names one that was replaced since.
Shapes: N clips, K classes.
"""

import dataclasses
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ray import tune

from freqquest.choices import check_types
from freqquest.cnn.model_file import to_bytes
from freqquest.cnn.search.outcome import PREDICTIONS_NAME
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

PROGRESS_DIR = "progress"
"""Folder of an unfinished trial, in its folder of Ray Tune."""

_RECORD_NAME = "progress.json"


@dataclass
class TrialProgress:
    """Scores and metrics of the epochs so far."""

    scores: list[float] = field(default_factory=list)
    """Score of each split begun."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Metrics of each epoch, of all splits in sequence."""
    epoch_of_split: int = 0
    """Epochs done of the last split begun."""
    last_reported: int = 0
    """Epoch of the last report, on the scheduler's clock."""
    rung_scores: list[list[float]] = field(default_factory=list)
    """Each epoch at which the scheduler compared the trial, and its score then."""
    seconds: float = 0.0
    """Time of training and validation."""
    num_splits: int = 0
    """Splits that have ended."""
    training: str = ""
    """File with the state of the training that was interrupted; empty if there is none."""


class TrialFolder:
    """A folder with the progress, the networks and the predictions of a trial.

    The record of the progress is replaced when everything that it names is there, and what it named
    before is removed after that.
    """

    def __init__(self, folder: Location) -> None:
        """Read what an interrupted trial has left in the folder, which may not exist."""
        self._folder = folder
        self.progress = TrialProgress()
        if (folder / _RECORD_NAME).is_file():
            self.progress = _read_record(folder / _RECORD_NAME)
        self._named = self.progress.training

    def pop_training(self) -> bytes | None:
        """Return the state of the training that was interrupted, once."""
        name, self.progress.training = self.progress.training, ""
        file = self._folder / name
        return file.read_bytes() if name and file.is_file() else None

    def forget_split(self) -> None:
        """Go back to the beginning of the split whose training was interrupted."""
        now = self.progress
        now.scores = now.scores[: now.num_splits]
        now.history = [epoch for epoch in now.history if epoch["fold"] <= now.num_splits]

    def save_training(self, state: bytes) -> None:
        """Save the state of the training that runs."""
        earlier, self._named = self._named, f"training_{len(self.progress.history)}.npz"
        (self._folder / self._named).write_bytes(state)
        record = dataclasses.asdict(self.progress) | {"training": self._named}
        (self._folder / _RECORD_NAME).write_text(json.dumps(record))
        if earlier not in ("", self._named):
            (self._folder / earlier).remove_file()

    def end_split(self, model: "keras.Model", rows: np.ndarray, probabilities: np.ndarray) -> None:
        """Add a split's network, and its probabilities `[N, K]` of the validation rows `[N]`."""
        number = self.progress.num_splits
        (self._folder / _model_name(number)).write_bytes(to_bytes(model))
        stream = io.BytesIO()
        np.savez(stream, rows=rows, probabilities=probabilities)
        (self._folder / f"predictions_{number}.npz").write_bytes(stream.getvalue())
        self.progress.num_splits += 1

    @contextmanager
    def finished(self) -> Iterator[tune.Checkpoint]:
        """Yield the checkpoint of a trial whose splits have all ended, in a temporary folder."""
        splits = range(self.progress.num_splits)
        with tempfile.TemporaryDirectory() as temporary:
            for number in splits:
                name = _model_name(number)
                (Path(temporary) / name).write_bytes((self._folder / name).read_bytes())
            parts = [self._predictions(number) for number in splits]
            np.savez(
                Path(temporary) / PREDICTIONS_NAME,
                rows=np.concatenate([rows for rows, _ in parts]),
                probabilities=np.concatenate([probabilities for _, probabilities in parts]),
            )
            yield tune.Checkpoint.from_directory(temporary)

    def _predictions(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        content = (self._folder / f"predictions_{number}.npz").read_bytes()
        with np.load(io.BytesIO(content)) as arrays:
            return arrays["rows"], arrays["probabilities"]


def _read_record(file: Location) -> TrialProgress:
    """Return the progress in a record; that of a new trial if it is damaged."""
    content = file.read_bytes()
    try:
        progress = TrialProgress(**json.loads(content))
        check_types(progress, TrialProgress)
    except Exception as error:  # a damaged file may raise any
        print(f"a trial starts again: {file} cannot be read ({error})")
        return TrialProgress()
    return progress


def _model_name(number: int) -> str:
    return f"model_{number}.keras"
