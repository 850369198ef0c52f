"""Outcomes of trials that did not run."""

import dataclasses

import numpy as np

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.search.outcome import Outcome
from tests.cnn.conftest import make_clips, make_clips_of_several_labels


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


def make_outcome_of_several_labels(trial_id, probabilities) -> Outcome:
    """Return a finished trial with these predictions `[32, 2]`."""
    clips = make_clips_of_several_labels()
    score = clips.score.compute(probabilities, clips.labels)
    outcome = dataclasses.replace(
        make_outcome(trial_id, np.ones(32, bool)),
        score=score,
        fold_scores=[score],
        history=[{clips.score.metric: score, "time": 1.0, "seconds": 2.0}],
    )
    outcome.__dict__["predictions"] = (np.arange(32), probabilities)
    return outcome
