"""Outcomes of trials that did not run."""

import dataclasses

import numpy as np

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.search.outcome import Outcome
from tests.cnn.conftest import make_clips


def make_outcome(trial_id, is_correct, params=None, state="finished") -> Outcome:
    """Return a trial that classifies these of the 32 clips correctly."""
    clips = make_clips()
    predicted = np.where(is_correct, clips.class_indices, 1 - clips.class_indices)
    accuracy = float(np.mean(is_correct))
    outcome = Outcome(
        trial_id=trial_id,
        params=dataclasses.asdict(CnnConfig()) | {"seed": 0} | (params or {}),
        state=state,
        score=accuracy,
        fold_scores=[accuracy],
        history=[{"validation/accuracy": accuracy, "time": 1.0, "seconds": 2.0}],
        checkpoint=None,
    )
    outcome.__dict__["predictions"] = (np.arange(32), np.eye(2)[predicted])
    return outcome
