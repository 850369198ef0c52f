"""The search: Ray Tune, with trials ended early by ASHA and proposed by Optuna's TPE.

The driver plans and watches; TensorFlow is loaded in the trials only (`freqquest.cnn.search.trial`).
Sources: Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA); Bergstra et al., 2011,
"Algorithms for Hyper-Parameter Optimization" (TPE).
"""

import dataclasses
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import pandas as pd
from ray import tune

from freqquest.cluster import capacity, connection
from freqquest.cnn.config import PRESETS, CnnConfig, TuneConfig
from freqquest.cnn.search.ray_tune import Proposer, Scheduler, Watch, position
from freqquest.cnn.search.space import as_domains, narrow, nearest
from freqquest.cnn.search.trial import (
    FINISHED,
    OBJECTIVE,
    PREDICTIONS_NAME,
    STOPPED,
    TrialTask,
    network_of,
    run_trial,
)
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.storage import Location

_STATE_NAME = re.compile(r"experiment_state-.*\.json")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception|Exit)\b")


_MOST_LOSSES = 3
"""Times that a trial begins again because its process or node was lost. What a trial's own code raises would be raised
again, so it ends the trial (`run_trial`).
"""

_NUM_RANDOM = 5
"""Trials, with the first points, after which Optuna proposes by what was learned; until then at random."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one trial."""

    trial_id: str
    params: dict[str, Any]
    state: str
    """`finished`, `stopped early`, or why it failed."""
    score: float
    fold_scores: list[float]
    history: list[dict[str, float]]
    """Figures of each epoch of all folds, one after the other."""
    checkpoint: Location | None
    """Of a finished trial: its networks and predictions."""

    @property
    def is_valid(self) -> bool:
        """Neither crashed nor diverged."""
        return self.state in (FINISHED, STOPPED)

    @property
    def network(self) -> CnnConfig:
        """The configuration."""
        return network_of(self.params)

    @cached_property
    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows `[N]` of a finished trial's validation clips, and its probabilities `[N, K]` for them."""
        assert self.checkpoint is not None
        with (self.checkpoint / PREDICTIONS_NAME).open() as stream, np.load(stream) as arrays:
            return arrays["rows"], arrays["probabilities"]


def first_points(config: TuneConfig) -> list[dict[str, Any]]:
    """What the search begins with: the preset, then the published recipe, both inside the space."""
    space = search_space(config)
    if config.preset == "reference":
        return [{"seed": config.seed}]
    points = [nearest(space, PRESETS[preset]) for preset in ("default", "reference")]
    return [point for number, point in enumerate(points) if point not in points[:number]]


def search_space(config: TuneConfig) -> dict[str, Any]:
    """What the trials vary: `freqquest.cnn.search.space`, or for the published recipe its seed alone.

    Raises:
        UserError: --only names no setting, or no value of one.
    """
    return {} if config.preset == "reference" else narrow(config.only)


def run_trials(
    config: TuneConfig, task: TrialTask, resources: dict[str, float], run: Location
) -> list[Outcome]:
    """All trials: of a new search, or those that an interrupted one had left to do; the first points come first.

    Raises:
        UserError: No trial finished, or not all were begun.
    """
    connection.silence("tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = tune.with_resources(tune.with_parameters(run_trial, task=task), resources)
    # The searcher is asked for one trial ahead, which would bring an autoscaler's nodes one after the other.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(
        max(1, capacity.num_addable_trials(resources, config.effective_num_trials))
    )
    place = run / layout.TRIALS_DIR
    if can_resume(place):
        # A trial keeps no optimizer state: an unfinished one starts again, or it would be given too few epochs.
        restart = tune.ResumeConfig(
            unfinished=tune.ResumeConfig.ResumeType.RESTART,
            errored=tune.ResumeConfig.ResumeType.RESTART,
        )
        tuner = tune.Tuner.restore(
            place.path, trainable, storage_filesystem=place.filesystem, _resume_config=restart
        )
        results = tuner.fit()
    else:
        results = _tuner(config, task, trainable, run).fit()
    points = first_points(config)
    outcomes = sorted(
        (_outcome(result) for result in results),
        key=lambda outcome: position(outcome.params, points),
    )
    if len(outcomes) < config.effective_num_trials:
        raise UserError(
            f"only {len(outcomes)} of {config.effective_num_trials} trials were begun: run the same command again"
        )
    if all(outcome.state != FINISHED for outcome in outcomes):
        raise UserError(
            f"none of {len(outcomes)} trials finished; the first one's error: {outcomes[0].state}"
        )
    return outcomes


def can_resume(trials: Location) -> bool:
    """Whether Ray Tune wrote down where its trials stand; a search killed in its first second did not."""
    return any(_STATE_NAME.match(entry.name) for entry in trials.list_dir())


def rungs(num_epochs: int) -> tuple[int, ...]:
    """Epochs at which ASHA compares trials: a quarter of all, then three times as many, and so on."""
    epochs = [max(1, num_epochs // 4)]
    while epochs[-1] * 3 < num_epochs:
        epochs.append(epochs[-1] * 3)
    return tuple(epochs)


def table(outcomes: list[Outcome]) -> pd.DataFrame:
    """One row a trial: what became of it, its figures at the last epoch, its configuration."""
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


def _tuner(config: TuneConfig, task: TrialTask, trainable: Any, run: Location) -> tune.Tuner:
    points = first_points(config)
    fixed = dataclasses.asdict(PRESETS[config.preset]) | {"seed": config.seed}
    domains = as_domains(search_space(config)) or {"seed": tune.randint(0, 2**31 - 1)}
    return tune.Tuner(
        trainable,
        param_space=fixed | domains,
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="max",
            num_samples=config.effective_num_trials,
            scheduler=Scheduler(
                points[0],
                time_attr="epoch",
                max_t=task.num_epochs,
                grace_period=task.rungs[0],
                reduction_factor=3,
            ),
            search_alg=Proposer(
                points_to_evaluate=points,
                sampler=optuna.samplers.TPESampler(n_startup_trials=_NUM_RANDOM, seed=config.seed),
            ),
            trial_dirname_creator=_trial_id,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=layout.TRIALS_DIR,
            storage_path=run.path,
            storage_filesystem=run.filesystem,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=_MOST_LOSSES),
            callbacks=[Watch(config.effective_num_trials, task.num_epochs)],
            verbose=0,
        ),
    )


def _trial_id(trial: Any) -> str:
    """Folder names that a shell can be given."""
    return str(trial.trial_id)


def _outcome(result: tune.Result) -> Outcome:
    metrics = result.metrics or {}
    checkpoint = result.checkpoint
    return Outcome(
        trial_id=Location(result.filesystem, result.path).name,
        params=result.config or {},
        state=_reason(result.error) if result.error else metrics.get("state", "not begun"),
        score=metrics.get(OBJECTIVE, 0.0),
        fold_scores=metrics.get("scores", []),
        history=metrics.get("history", []),
        checkpoint=Location(checkpoint.filesystem, checkpoint.path) if checkpoint else None,
    )


def _reason(error: Exception) -> str:
    """The line of a remote traceback that names the error."""
    lines = str(error).strip().splitlines()
    return next((line for line in reversed(lines) if _ERROR_LINE.match(line)), lines[-1])
