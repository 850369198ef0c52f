import numpy as np
import pytest

from freqquest.cnn.search import trial_progress
from freqquest.cnn.search.trial_progress import TrialFolder
from freqquest.storage import locate


@pytest.fixture
def folder(tmp_path):
    return locate(tmp_path / "progress")


@pytest.fixture(autouse=True)
def _models_are_bytes(monkeypatch):
    monkeypatch.setattr(trial_progress, "to_bytes", lambda model: model)


def train(trial, num_epochs, split=1):
    trial.progress.scores.append(0.5)
    for epoch in range(1, num_epochs + 1):
        trial.progress.epoch_of_split = epoch
        trial.progress.history.append({"train/loss": 1 / epoch, "fold": split})
        trial.save_training(f"split {split}, epoch {epoch}".encode())


def names(folder):
    return sorted(file.name for file in folder.list_dir())


def test_a_trial_goes_on_after_the_epoch_that_was_saved_last(folder):
    train(TrialFolder(folder), 3)
    assert names(folder) == ["progress.json", "training_3.npz"]
    again = TrialFolder(folder)
    assert again.progress.epoch_of_split == 3
    assert again.progress.scores == [0.5]
    assert [epoch["train/loss"] for epoch in again.progress.history] == [1, 1 / 2, 1 / 3]
    assert again.pop_training() == b"split 1, epoch 3"
    assert again.pop_training() is None


@pytest.mark.parametrize("write", ["write_bytes", "write_text"])
def test_a_process_that_dies_while_it_saves_leaves_the_earlier_state(folder, monkeypatch, write):
    trial = TrialFolder(folder)
    train(trial, 2)
    with monkeypatch.context() as patch:
        patch.setattr(type(folder), write, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(trial, 1)
    again = TrialFolder(folder)
    assert len(again.progress.history) == 2
    assert again.pop_training() == b"split 1, epoch 2"


def test_splits_that_have_ended_are_kept(folder):
    trial = TrialFolder(folder)
    for split in (1, 2):
        train(trial, 1, split)
        rows = np.arange(2 * split - 2, 2 * split)
        trial.end_split(f"model {split}".encode(), rows, np.full((2, 3), split))
        train(trial, 1, split + 1)  # saved with the next split
    again = TrialFolder(folder)
    assert again.progress.num_splits == 2
    with again.finished() as checkpoint:
        path = locate(checkpoint.path)
        assert names(path) == ["model_0.keras", "model_1.keras", "predictions.npz"]
        assert (path / "model_1.keras").read_bytes() == b"model 2"
        with np.load((path / "predictions.npz").path) as arrays:
            np.testing.assert_array_equal(arrays["rows"], [0, 1, 2, 3])
            np.testing.assert_array_equal(arrays["probabilities"][:, 0], [1, 1, 2, 2])


def test_a_split_that_starts_again_forgets_its_epochs(folder):
    trial = TrialFolder(folder)
    train(trial, 2)
    trial.end_split(b"model", np.arange(2), np.zeros((2, 3)))
    train(trial, 3, split=2)
    again = TrialFolder(folder)
    again.forget_split()
    assert again.progress.scores == [0.5]
    assert [epoch["fold"] for epoch in again.progress.history] == [1, 1]


def test_a_state_that_is_not_there_counts_as_none(folder):
    train(TrialFolder(folder), 1)
    (folder / "training_1.npz").remove_file()
    assert TrialFolder(folder).pop_training() is None


@pytest.mark.parametrize("record", ['{"scores": [', "[]", '{"other": 1}'])
def test_a_record_that_cannot_be_read_counts_as_none(folder, record, capsys):
    train(TrialFolder(folder), 1)
    (folder / "progress.json").write_text(record)
    again = TrialFolder(folder)
    assert again.progress.history == []
    assert again.pop_training() is None
    assert "a trial starts again: " in capsys.readouterr().out


def test_without_a_folder_a_trial_begins(folder):
    trial = TrialFolder(folder)
    assert trial.progress.history == []
    assert trial.pop_training() is None
    assert not folder.exists()
