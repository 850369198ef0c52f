"""The outcomes of a search's trials, as trials leave them and as trials.csv lists them. No Ray.

Shapes: N clips, K classes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypedDict

import numpy as np
import pandas as pd

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.search.space import cnn_config_of
from freqquest.runs.metrics import Settings
from freqquest.storage import Location

OBJECTIVE: Final = "validation/score"
"""Metric that the search maximizes: score of the validation clips after the epoch that is kept,
averaged over the folds begun."""

PREDICTIONS_NAME = "predictions.npz"
"""File in a finished trial's checkpoint: `rows` `[N]` and `probabilities` `[N, K]` of all its
validation clips."""

FINISHED, STOPPED = "finished", "stopped early"
"""States of a trial that did not fail; any other state is the reason of the failure."""

TrialReport = TypedDict(
    "TrialReport",
    {
        "validation/score": float,
        "epoch": int,
        "scores": list[float],
        "history": list[dict[str, float]],
        "state": str,
        "rung_scores": list[list[float]],
        "step": int,
        "new_metrics": dict[str, float],
    },
)
"""Report of a trial to Ray Tune: `OBJECTIVE`, epochs done, score of each fold begun, metrics of all
epochs (only if the trial may end here), the state it has if it ends here, its scores at the epochs
at which the scheduler compared it, the number of its epochs in sequence, and the metrics of the
last one unless it was reported before."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of one trial."""

    trial_id: str
    params: Settings
    """Settings of the classifier, and the seed."""
    state: str
    """`finished`, `stopped early`, or the reason of the failure."""
    score: float
    fold_scores: list[float]
    history: list[dict[str, float]]
    """Metrics of each epoch, of all folds in sequence."""
    checkpoint: Location | None
    """Folder of a finished trial's networks and predictions."""

    @property
    def is_valid(self) -> bool:
        """Return whether the trial neither crashed nor diverged."""
        return self.state in (FINISHED, STOPPED)

    @property
    def cnn_config(self) -> CnnConfig:
        """Configuration of the classifier."""
        return cnn_config_of(self.params)

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return int(self.params["seed"])

    @cached_property
    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows `[N]` and probabilities `[N, K]` of a finished trial's validation clips."""
        assert self.checkpoint is not None
        with (self.checkpoint / PREDICTIONS_NAME).open() as stream, np.load(stream) as arrays:
            return arrays["rows"], arrays["probabilities"]


class HeldOut(NamedTuple):
    """Predictions of the clips that a chosen configuration was not trained on."""

    probabilities: np.ndarray
    """Calibrated probabilities `[N, K]`."""
    labels: np.ndarray
    """True labels `[N, K]`, bool."""


def table(outcomes: list[Outcome]) -> pd.DataFrame:
    """Return one row per trial: its state, its metrics at the last epoch, its configuration."""
    rows = [
        {
            "trial": outcome.trial_id,
            "state": outcome.state,
            OBJECTIVE: outcome.score,
            "epochs": len(outcome.history),
            "seconds": outcome.history[-1]["seconds"] if outcome.history else 0.0,
        }
        | {name: value for name, value in (outcome.history or [{}])[-1].items() if "/" in name}
        | outcome.params
        for outcome in outcomes
    ]
    return pd.DataFrame(rows)
