"""Choice of the best trial, its metrics, and plots of the search.

No Ray and no TensorFlow: the trials saved their predictions. Shapes: N clips, K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import classification_report

from freqquest import plots
from freqquest.cnn.calibration import (
    apply_temperature,
    calibration_error,
    fit_temperature,
    reliability_bins,
)
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.search.outcome import FINISHED, Outcome
from freqquest.cnn.search.space import SPACE, LogRange
from freqquest.runs import layout
from freqquest.runs.metrics import SearchMetrics, Setting

if TYPE_CHECKING:
    import optuna


def choose(outcomes: Sequence[Outcome], clips: LabeledClips) -> Outcome:
    """Return the first trial, unless another one is better by more than chance explains.

    The best of many trials is partly the luckiest. So the preset, which was chosen on other
    grounds, stays unless the best trial's lead exceeds one standard error of the difference (one
    standard error rule, Breiman et al., 1984), where recordings, not clips, count as
    independent.
    """
    finished = [outcome for outcome in outcomes if outcome.state == FINISHED]
    first, best = finished[0], max(finished, key=lambda outcome: outcome.score)
    if first is not outcomes[0] or first is best:
        return best
    lead = _is_correct(best, clips).astype(float) - _is_correct(first, clips)
    chance = standard_error(lead, clips.recordings[first.predictions[0]])
    return best if lead.sum() > chance else first


def standard_error(lead: np.ndarray, recordings: np.ndarray) -> float:
    """Return the standard error of a sum over clips `[N]`, where recordings are independent."""
    sums = [lead[recordings == recording].sum() for recording in np.unique(recordings)]
    return float(np.sqrt(np.square(sums).sum()))


def evaluate(
    outcomes: Sequence[Outcome], best: Outcome, clips: LabeledClips, split: str
) -> SearchMetrics:
    """Compute the metrics of the chosen configuration on the clips that it was not trained on.

    Args:
        outcomes: All trials.
        best: The chosen one.
        clips: Clips that its rows refer to.
        split: Description of the split that the accuracy belongs to.
    """
    rows, probabilities = best.predictions
    truth, labels = clips.class_indices[rows], range(len(clips.classes))
    report = classification_report(
        truth,
        probabilities.argmax(axis=1),
        labels=labels,
        target_names=clips.classes,
        output_dict=True,
        zero_division=0.0,
    )
    temperature = fit_temperature(probabilities, truth)
    calibrated = apply_temperature(probabilities, temperature)
    return {
        "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
        "accuracy_by_fold": best.fold_scores,
        "split": split,
        "num_clips": len(rows),
        "num_recordings": len(set(clips.recordings[rows])),
        "num_trials": len(outcomes),
        "num_failed_trials": sum(not outcome.is_valid for outcome in outcomes),
        "trial": best.trial_id,
        "is_first_trial": best is outcomes[0],
        "cnn_config": dataclasses.asdict(best.cnn_config),
        "by_class": {label: report[label] for label in clips.classes},
        "temperature": temperature,
        "calibration_error": {
            "before": calibration_error(probabilities, truth),
            "after": calibration_error(calibrated, truth),
        },
    }


def draw(
    outcomes: Sequence[Outcome], best: Outcome, clips: LabeledClips, metrics: SearchMetrics
) -> dict[str, np.ndarray]:
    """Plot the search and the chosen trial: RGB pictures `[H, W, 3]`, by file name."""
    rows, probabilities = best.predictions
    truth = clips.class_indices[rows]
    counts = plots.count_confusions(truth, probabilities.argmax(axis=1), len(clips.classes))
    calibrated = apply_temperature(probabilities, metrics["temperature"])
    title = f"validation: {metrics['split']}"
    pictures = {
        layout.CONFUSION_MATRIX_NAME: plots.confusion_matrix(counts, clips.classes, title),
        layout.LEARNING_CURVES_NAME: plots.curves(
            {
                outcome.trial_id: [epoch["validation/accuracy"] for epoch in outcome.history]
                for outcome in outcomes
                if outcome.history
            },
            "each trial",
            "epoch",
            "validation accuracy",
            highlight=best.trial_id,
        ),
        layout.SEARCH_PROGRESS_NAME: _draw_progress(outcomes),
        layout.RELIABILITY_NAME: plots.reliability(
            {
                "as trained": reliability_bins(probabilities, truth)[:2],
                "calibrated": reliability_bins(calibrated, truth)[:2],
            },
            title,
        ),
    }
    importances = importance(outcomes)
    if importances:
        pictures[layout.IMPORTANCE_NAME] = plots.bars(importances, "share of the score's variance")
    return pictures


def importance(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the share of the score's variance that each setting explains.

    Source: fANOVA, by a random forest (Hutter et al., 2014).

    Returns:
        Largest first; empty with fewer than eight valid trials, which allow no conclusion.
    """
    import optuna

    valid = [outcome for outcome in outcomes if outcome.is_valid]
    if len(valid) < 8:
        return {}
    varied = {
        name: sorted({outcome.params[name] for outcome in valid}, key=str)
        for name in valid[0].params
        if len({outcome.params[name] for outcome in valid}) > 1
    }
    distributions = {name: _distribution(name, values) for name, values in varied.items()}
    study = optuna.create_study(direction="maximize")
    for outcome in valid:
        params = {name: outcome.params[name] for name in varied}
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=distributions, value=outcome.score
            )
        )
    if len({outcome.score for outcome in valid}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _is_correct(outcome: Outcome, clips: LabeledClips) -> np.ndarray:
    rows, probabilities = outcome.predictions
    is_correct: np.ndarray = probabilities.argmax(axis=1) == clips.class_indices[rows]
    return is_correct


def _draw_progress(outcomes: Sequence[Outcome]) -> np.ndarray:
    valid = sorted(
        (outcome for outcome in outcomes if outcome.is_valid),
        key=lambda outcome: outcome.history[-1]["time"],
    )
    start = min(outcome.history[0]["time"] for outcome in valid)
    minutes = [(outcome.history[-1]["time"] - start) / 60 for outcome in valid]
    return plots.best_so_far(minutes, [outcome.score for outcome in valid], "the search")


def _distribution(name: str, values: list[Setting]) -> "optuna.distributions.BaseDistribution":
    import optuna

    if isinstance(SPACE.get(name), LogRange):
        return optuna.distributions.FloatDistribution(
            float(min(values)), float(max(values)), log=True
        )
    return optuna.distributions.CategoricalDistribution(values)
