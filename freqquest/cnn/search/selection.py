"""Judge the trials of a search: which one wins, how good it is, how sure it may be.

No TensorFlow: the trials left their predictions. Shapes: N clips, K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import classification_report

from freqquest import plots
from freqquest.cnn.calibration import calibration_error, fit_temperature, reliability_bins, soften
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.search.run import Outcome
from freqquest.cnn.search.space import SPACE, LogRange
from freqquest.cnn.search.trial import FINISHED


def choose(outcomes: Sequence[Outcome], clips: LabeledClips) -> Outcome:
    """The first trial, unless another one is better by more than chance explains.

    The best of many is partly the luckiest. So the preset, which was chosen on other grounds, stays unless the best
    trial's lead is above one standard error of the difference (Breiman et al., 1984, rule of one standard error), for
    which whole recordings, not clips, count as independent.
    """
    finished = [outcome for outcome in outcomes if outcome.state == FINISHED]
    first, best = finished[0], max(finished, key=lambda outcome: outcome.score)
    if first is not outcomes[0] or first is best:
        return best
    lead = _right(best, clips).astype(float) - _right(first, clips)
    return (
        best if lead.sum() > standard_error(lead, clips.recordings[first.predictions[0]]) else first
    )


def standard_error(lead: np.ndarray, recordings: np.ndarray) -> float:
    """Of the sum of figures of clips `[N]`, where whole recordings, not clips, count as independent."""
    sums = [lead[recordings == recording].sum() for recording in np.unique(recordings)]
    return float(np.sqrt(np.square(sums).sum()))


def evaluate(
    outcomes: Sequence[Outcome], best: Outcome, clips: LabeledClips, split: str
) -> dict[str, Any]:
    """Figures of the chosen configuration on the clips that it was not trained on.

    Args:
        outcomes: All trials.
        best: The chosen one.
        clips: Where its rows lie.
        split: What the rows have in common.

    Returns:
        JSON-compatible; `accuracy` is over all validation clips together.
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
    calibrated = soften(probabilities, temperature)
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
        "network": dataclasses.asdict(best.network),
        "by_class": {label: report[label] for label in clips.classes},
        "temperature": temperature,
        "calibration_error": {
            "before": calibration_error(probabilities, truth),
            "after": calibration_error(calibrated, truth),
        },
    }


def draw(
    outcomes: Sequence[Outcome], best: Outcome, clips: LabeledClips, metrics: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Pictures of the search and of the chosen trial with its metrics, RGB `[H, W, 3]`, by name."""
    rows, probabilities = best.predictions
    truth = clips.class_indices[rows]
    counts = plots.count_confusions(truth, probabilities.argmax(axis=1), len(clips.classes))
    calibrated = soften(probabilities, metrics["temperature"])
    title = f"validation: {metrics['split']}"
    pictures = {
        "confusion_matrix": plots.confusion_matrix(counts, clips.classes, title),
        "learning_curves": plots.curves(
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
        "search_progress": _draw_progress(outcomes),
        "reliability": plots.reliability(
            {
                "as trained": reliability_bins(probabilities, truth)[:2],
                "calibrated": reliability_bins(calibrated, truth)[:2],
            },
            title,
        ),
    }
    importances = importance(outcomes)
    if importances:
        pictures["importance"] = plots.bars(importances, "share of the score's variance")
    return pictures


def importance(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Share of the score's variance that each setting explains, by a random forest (fANOVA, Hutter et al., 2014).

    Returns:
        Largest first; empty with fewer than eight trials, from which nothing can be said.
    """
    import optuna

    sound = [outcome for outcome in outcomes if outcome.is_valid]
    if len(sound) < 8:
        return {}
    varied = {
        name: sorted({outcome.params[name] for outcome in sound}, key=str)
        for name in sound[0].params
        if len({outcome.params[name] for outcome in sound}) > 1
    }
    distributions = {name: _distribution(name, values) for name, values in varied.items()}
    study = optuna.create_study(direction="maximize")
    for outcome in sound:
        params = {name: outcome.params[name] for name in varied}
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=distributions, value=outcome.score
            )
        )
    if len({outcome.score for outcome in sound}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _right(outcome: Outcome, clips: LabeledClips) -> np.ndarray:
    rows, probabilities = outcome.predictions
    return probabilities.argmax(axis=1) == clips.class_indices[rows]


def _draw_progress(outcomes: Sequence[Outcome]) -> np.ndarray:
    sound = sorted(
        (outcome for outcome in outcomes if outcome.is_valid),
        key=lambda outcome: outcome.history[-1]["time"],
    )
    start = min(outcome.history[0]["time"] for outcome in sound)
    minutes = [(outcome.history[-1]["time"] - start) / 60 for outcome in sound]
    return plots.best_so_far(minutes, [outcome.score for outcome in sound], "the search")


def _distribution(name: str, values: list[Any]) -> Any:
    import optuna

    if isinstance(SPACE.get(name), LogRange):
        return optuna.distributions.FloatDistribution(min(values), max(values), log=True)
    return optuna.distributions.CategoricalDistribution(values)
