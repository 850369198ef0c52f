import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.cnn.config import PRESETS
from freqquest.cnn.devices import Device
from freqquest.cnn.labeled_clips import SplitRows, cross_validation
from freqquest.cnn.search import trial, trial_progress
from freqquest.cnn.search.trial_progress import TrialFolder
from freqquest.storage import locate
from tests.cnn.conftest import EASY, make_clips


def test_a_part_that_ends_early_counts_at_the_rungs_that_it_skips(monkeypatch, tmp_path):
    reports = []
    monkeypatch.setattr("freqquest.cnn.search.trial_logs.TrialLogs", MagicMock())
    monkeypatch.setattr(trial.tune, "get_context", MagicMock())
    monkeypatch.setattr(
        trial.tune,
        "report",
        lambda metrics, checkpoint: reports.append(
            (
                metrics["epoch"],
                len(metrics["history"]),
                metrics["validation/score"],
                bool(metrics["new_metrics"]),
            )
        ),
    )
    task = MagicMock(
        rungs=(3, 9), max_epochs=4, num_epochs=12, splits=[None] * 3, save_interval_s=60
    )
    monkeypatch.setattr(trial_progress, "to_bytes", lambda _: b"")
    folder = TrialFolder(locate(tmp_path))
    reporter = trial._TrialReporter(PRESETS["reference"], make_clips(), task, folder)
    for num_epochs, accuracy in ((2, 0.5), (4, 0.7), (1, 0.9)):
        split = SplitRows(train=np.arange(1), validation=np.arange(1))
        reporter.begin(split, goes_on=False)
        epoch = SimpleNamespace(
            probabilities=np.zeros((1, 2)), metrics={"validation/accuracy": accuracy}
        )
        for _ in range(num_epochs):
            reporter.after_epoch(epoch)
        reporter.end_split(MagicMock(), np.zeros((1, 2)))
    assert [epoch for epoch, *_ in reports] == [1, 2, 4, 5, 6, 7, 8, 9]
    # Where the scheduler may end the trial, the report holds its history.
    assert [length for _, length, *_ in reports] == [0, 0, 2, 0, 0, 0, 0, 7]
    # An end that skips epochs repeats no metrics.
    assert [is_new for *_, is_new in reports] == [True, True, False, True, True, True, True, True]
    assert reports[2][2] == 0.5
    assert folder.progress.rung_scores == [[3, 0.5], [9, pytest.approx(0.7)]]


class Interruption(BaseException):
    """The end of a process."""


class Trials:
    """Runs trials in this process, with a folder in place of Ray Tune's storage."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder, self.reports, self.interrupt_at = folder / "trial", [], None
        self.folder.mkdir()
        clips = make_clips()
        self.task = trial.TrialTask(
            shared_clips=None,
            splits=cross_validation(clips, 2, seed=0),
            clip=ClipConfig(),
            max_epochs=3,
            logs=locate(folder / "logs"),
            device=Device(),
            rungs=(2, 4),
            save_interval_s=0,
        )
        monkeypatch.setattr(trial, "prepare", lambda device: None)
        monkeypatch.setattr(trial, "cnn_config_of", lambda params: EASY)
        monkeypatch.setattr(trial.ray, "get", lambda _: clips)
        monkeypatch.setattr(trial.ray_internals, "wait_for_stopped_trials", lambda: None)
        monkeypatch.setattr(trial.ray_internals, "trial_folder", lambda: locate(self.folder))
        context = SimpleNamespace(get_trial_id=lambda: "trial")
        monkeypatch.setattr(trial.tune, "get_context", lambda: context)
        monkeypatch.setattr(trial.tune, "report", self._report)

    def run(self, interrupt_at: int | None = None) -> list[dict]:
        """Run a trial until it ends, or is interrupted after this many reports."""
        self.reports, self.interrupt_at = [], interrupt_at
        try:
            trial.run_trial({"seed": 5}, self.task)
        except Interruption:
            assert interrupt_at is not None
        return self.reports

    def _report(self, metrics, checkpoint) -> None:
        self.reports.append({**metrics, "history": list(metrics["history"])})
        if checkpoint is not None:
            shutil.copytree(checkpoint.path, self.folder / "checkpoint", dirs_exist_ok=True)
        if len(self.reports) == self.interrupt_at:
            raise Interruption


@pytest.fixture
def trials(tmp_path, monkeypatch):
    return Trials(tmp_path, monkeypatch)


def results(trials) -> dict[str, np.ndarray]:
    with np.load(trials.folder / "checkpoint" / "predictions.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def undisturbed(tmp_path, monkeypatch):
    """The last report and the predictions of a trial that nothing interrupts."""
    (tmp_path / "undisturbed").mkdir()
    trials = Trials(tmp_path / "undisturbed", monkeypatch)
    return trials.run()[-1], results(trials)


def test_a_trial_that_is_interrupted_goes_on_from_its_last_epoch(undisturbed, trials):
    expected, predictions = undisturbed
    assert [each["epoch"] for each in trials.run(interrupt_at=2)] == [1, 2]
    assert [each["epoch"] for each in trials.run(interrupt_at=2)] == [3, 4]  # in the second part
    reports = trials.run()
    assert [each["epoch"] for each in reports] == [5, 6]
    last = reports[-1]
    assert [each["step"] for each in reports if each["new_metrics"]] == [5, 6]
    assert last["new_metrics"].items() <= last["history"][-1].items()
    assert last["state"] == expected["state"] == "finished"
    assert last["scores"] == pytest.approx(expected["scores"])
    names = {"train/loss", "train/learning_rate", "validation/loss", "validation/accuracy", "fold"}
    for found, wanted in zip(last["history"], expected["history"], strict=True):
        assert {name: found[name] for name in names} == pytest.approx(
            {name: wanted[name] for name in names}, rel=1e-3, abs=1e-4
        )
    times = [epoch["seconds"] for epoch in last["history"]]
    assert times == sorted(times)
    found = results(trials)
    np.testing.assert_array_equal(found["rows"], predictions["rows"])
    np.testing.assert_allclose(found["probabilities"], predictions["probabilities"], atol=1e-3)
    assert {path.name for path in (trials.folder / "checkpoint").iterdir()} == {
        *("model_0.keras", "model_1.keras", "predictions.npz")
    }
    assert last["rung_scores"] == expected["rung_scores"]


def test_a_split_whose_state_cannot_be_used_starts_again(trials, capsys):
    trials.run(interrupt_at=5)
    (state,) = (trials.folder / "progress").glob("training_*.npz")
    state.write_bytes(b"half")
    reports = trials.run()
    assert [each["epoch"] for each in reports] == [4, 5, 6]
    assert len(reports[-1]["history"]) == 6
    assert len(reports[-1]["scores"]) == 2
    assert "its saved state cannot be used: it is damaged" in capsys.readouterr().out


def test_the_first_report_of_a_trial_that_goes_on_has_its_history(trials):
    trials.run(interrupt_at=3)
    assert [len(each["history"]) for each in trials.run()] == [4, 0, 6]
