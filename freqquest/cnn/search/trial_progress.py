"""What a trial has done so far, in the folder that becomes its checkpoint in Ray Tune.

Shapes: N clips, K classes.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ray import tune

from freqquest.choices import check_types
from freqquest.cluster import ray_internals
from freqquest.cnn.search.outcome import PREDICTIONS_NAME
from freqquest.storage import Location

if TYPE_CHECKING:
    import keras

_RECORD_NAME, _HASHES = "progress.json", "files_sha256"
_TRAINING_NAME = "training.npz"


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
    seconds: float = 0.0
    """Time of training and validation."""
    num_splits: int = 0
    """Splits that have ended."""


class TrialFolder:
    """A folder with the progress, the networks and the predictions of a trial."""

    def __init__(self, folder: Path) -> None:
        """Begin with an empty folder."""
        self._folder, self._predictions = folder, folder / PREDICTIONS_NAME
        self.progress = TrialProgress()

    def restore(self) -> None:
        """Copy what this trial has saved before an interruption, if there is anything.

        Ray Tune knows the checkpoints up to its own last saved state. If the search was killed
        since, a newer one may have replaced that which it knows.
        """
        known = tune.get_checkpoint()
        found = [] if known is None else [Location(known.filesystem, known.path)]
        newest_first = sorted(ray_internals.trial_folder().list_dir(), key=str, reverse=True)
        found += [each for each in newest_first if each.name.startswith("checkpoint_")]
        for checkpoint in found:
            content = {file.name: file.read_bytes() for file in checkpoint.list_dir()}
            record = _read_record(content)
            if record is not None:
                for name, file in content.items():
                    (self._folder / name).write_bytes(file)
                self.progress = record
                return

    def pop_training(self) -> bytes | None:
        """Return the state of the training that was interrupted, once."""
        file = self._folder / _TRAINING_NAME
        if not file.exists():
            return None
        saved = file.read_bytes()
        file.unlink()
        return saved

    def save_training(self, state: bytes) -> tune.Checkpoint:
        """Save the state of the training that runs."""
        (self._folder / _TRAINING_NAME).write_bytes(state)
        return self._save()

    def end_split(self, model: "keras.Model", rows: np.ndarray, probabilities: np.ndarray) -> None:
        """Add a split's network, and its probabilities `[N, K]` of the validation rows `[N]`."""
        model.save(self._folder / f"model_{self.progress.num_splits}.keras")
        if self._predictions.exists():
            with np.load(self._predictions) as earlier:
                rows = np.concatenate([earlier["rows"], rows])
                probabilities = np.concatenate([earlier["probabilities"], probabilities])
        np.savez(self._predictions, rows=rows, probabilities=probabilities)
        self.progress.num_splits += 1
        (self._folder / _TRAINING_NAME).unlink(missing_ok=True)

    def finish(self) -> tune.Checkpoint:
        """Return the checkpoint of a trial whose splits have all ended."""
        return self._save()

    def _save(self) -> tune.Checkpoint:
        record = self._folder / _RECORD_NAME
        record.unlink(missing_ok=True)
        hashes = {each.name: _hash(each.read_bytes()) for each in self._folder.iterdir()}
        record.write_text(json.dumps(dataclasses.asdict(self.progress) | {_HASHES: hashes}))
        return tune.Checkpoint.from_directory(self._folder)


def _read_record(content: dict[str, bytes]) -> TrialProgress | None:
    """Return the progress in a checkpoint, given its files; None unless all are there, and whole.

    Ray Tune copies the files one by one, and may be interrupted in the middle.
    """
    try:
        record = json.loads(content[_RECORD_NAME])
        hashes = record.pop(_HASHES)
        if any(_hash(content[name]) != expected for name, expected in hashes.items()):
            return None
        progress = TrialProgress(**record)
        check_types(progress, TrialProgress)
    except Exception:  # a damaged file may raise any
        return None
    return progress


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
