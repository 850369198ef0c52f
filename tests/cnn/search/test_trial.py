from unittest.mock import MagicMock

import numpy as np

from freqquest.cnn.config import PRESETS
from freqquest.cnn.labeled_clips import SplitRows
from freqquest.cnn.search import trial
from tests.cnn.conftest import make_clips


def test_a_part_that_ends_early_counts_at_the_rungs_that_it_skips(monkeypatch):
    reports = []
    monkeypatch.setattr("freqquest.cnn.search.trial_logs.TrialLogs", MagicMock())
    monkeypatch.setattr(trial.tune, "get_context", MagicMock())
    monkeypatch.setattr(
        trial.tune,
        "report",
        lambda metrics, checkpoint: reports.append(
            (metrics["epoch"], len(metrics["history"]), metrics["validation/score"])
        ),
    )
    task = MagicMock(rungs=(3, 9), max_epochs=4, num_epochs=12, splits=[None] * 3)
    reporter = trial._TrialReporter(PRESETS["reference"], make_clips(), task)
    for num_epochs, accuracy in ((2, 0.5), (4, 0.7), (1, 0.9)):
        reporter.begin(SplitRows(train=np.arange(1), validation=np.arange(1)))
        for _ in range(num_epochs):
            reporter.after_epoch(np.zeros((1, 2)), {"validation/accuracy": accuracy})
        reporter.end_split()
    assert [epoch for epoch, *_ in reports] == [1, 2, 4, 5, 6, 7, 8, 9]
    # Where the scheduler may end the trial, the report holds its history.
    assert [length for _, length, _ in reports] == [0, 0, 2, 0, 0, 0, 0, 7]
    assert reports[2][2] == 0.5
