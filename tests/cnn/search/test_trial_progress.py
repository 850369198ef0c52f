import shutil
from unittest.mock import MagicMock

import numpy as np
import pytest
from ray import tune

from freqquest.cnn.search import trial_progress
from freqquest.cnn.search.trial_progress import TrialFolder
from freqquest.storage import locate


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The folder of a trial that was saved after each of three epochs."""
    folder, work = tmp_path / "trial", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    monkeypatch.setattr(trial_progress.ray_internals, "trial_folder", lambda: locate(folder))
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    trial = TrialFolder(work)
    trial.progress.scores.append(0.5)
    for epoch in range(1, 4):
        trial.progress.epoch_of_split = epoch
        trial.progress.history.append({"train/loss": 1 / epoch, "time": float(epoch)})
        checkpoint = trial.save_training(f"state {epoch}".encode())
        shutil.copytree(checkpoint.path, folder / f"checkpoint_{epoch:06d}")
    return folder


def restored(tmp_path) -> TrialFolder:
    work = tmp_path / "restored"
    work.mkdir()
    folder = TrialFolder(work)
    folder.restore()
    return folder


def test_the_newest_checkpoint_is_restored(saved, tmp_path):
    folder = restored(tmp_path)
    assert folder.progress.epoch_of_split == 3
    assert folder.progress.scores == [0.5]
    assert [epoch["time"] for epoch in folder.progress.history] == [1, 2, 3]
    assert folder.pop_training() == b"state 3"
    assert folder.pop_training() is None


def test_the_checkpoint_that_ray_tune_knows_comes_first(saved, tmp_path, monkeypatch):
    known = tune.Checkpoint.from_directory(saved / "checkpoint_000002")
    monkeypatch.setattr(tune, "get_checkpoint", lambda: known)
    assert restored(tmp_path).pop_training() == b"state 2"


def test_a_checkpoint_that_ray_tune_knows_but_has_replaced_is_no_obstacle(
    saved, tmp_path, monkeypatch
):
    known = tune.Checkpoint.from_directory(tmp_path / "removed")
    monkeypatch.setattr(tune, "get_checkpoint", lambda: known)
    assert restored(tmp_path).pop_training() == b"state 3"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "training.npz").write_bytes(b"state"),
        lambda folder: (folder / "training.npz").unlink(),
        lambda folder: (folder / "progress.json").write_text('{"scores": ['),
        lambda folder: (folder / "progress.json").write_text("[]"),
        lambda folder: (folder / "progress.json").write_text('{"files_sha256": {}, "other": 1}'),
        lambda folder: (folder / "progress.json").unlink(),
        # Half of a later checkpoint in the same folder.
        lambda folder: (folder / "training.npz").write_bytes(b"state 4"),
    ],
)
def test_a_checkpoint_that_is_not_whole_gives_way_to_the_one_before(saved, tmp_path, damage):
    damage(saved / "checkpoint_000003")
    folder = restored(tmp_path)
    assert folder.progress.epoch_of_split == 2
    assert folder.pop_training() == b"state 2"


def test_without_a_checkpoint_a_trial_begins(saved, tmp_path):
    for checkpoint in saved.iterdir():
        shutil.rmtree(checkpoint)
    folder = restored(tmp_path)
    assert folder.progress.history == []
    assert folder.pop_training() is None


def test_splits_that_have_ended_are_kept(tmp_path):
    folder = TrialFolder(tmp_path)
    for start in (0, 2):
        folder.save_training(b"state")
        folder.end_split(MagicMock(), np.arange(start, start + 2), np.full((2, 3), start))
    assert folder.progress.num_splits == 2
    checkpoint = folder.finish()
    with np.load(tmp_path / "predictions.npz") as arrays:
        np.testing.assert_array_equal(arrays["rows"], [0, 1, 2, 3])
        np.testing.assert_array_equal(arrays["probabilities"][:, 0], [0, 0, 2, 2])
    assert checkpoint.path == str(tmp_path)
    assert not (tmp_path / "training.npz").exists()  # of a training that has ended
