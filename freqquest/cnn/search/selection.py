"""Choice of the best trial, metrics of the classifier that is kept, and plots of the search.

No Ray and no TensorFlow: the trials saved their predictions. Shapes: N clips, K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from freqquest import plots
from freqquest.cnn.abstention import SHOWN_PRECISIONS, held_out_curve
from freqquest.cnn.calibration import calibration_error
from freqquest.cnn.candidates import Candidate
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.scores import Score
from freqquest.cnn.search.class_picture import draw_classes
from freqquest.cnn.search.outcome import FINISHED, HeldOut, Outcome
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
    rows, probabilities = first.predictions
    lead, chance = clips.score.lead(
        best.predictions[1], probabilities, clips.labels[rows], clips.recordings.codes[rows]
    )
    return best if lead > chance else first


def evaluate(
    outcomes: Sequence[Outcome],
    best: Outcome | None,
    kept: Candidate,
    clips: LabeledClips,
    split: str,
) -> SearchMetrics:
    """Compute the metrics of the kept classifier on the clips that it was not trained on.

    Args:
        outcomes: All trials; none without a CNN.
        best: The chosen one; None without a CNN.
        kept: The classifier that is kept.
        clips: Clips that its rows refer to.
        split: Description of the split that the score belongs to.
    """
    rows, probabilities = kept.rows, kept.probabilities
    score, labels = clips.score, clips.labels[rows]
    temperature = score.fit_temperature(probabilities, labels)
    calibrated = score.apply_temperature(probabilities, temperature)
    metrics = {
        score.name: score.compute(probabilities, labels),
        f"{score.name}_by_fold": kept.fold_scores,
        "split": split,
        "num_clips": len(rows),
        "num_recordings": len(np.unique(clips.recordings.codes[rows])),
        "num_trials": len(outcomes),
        "num_failed_trials": sum(not outcome.is_valid for outcome in outcomes),
        "trial": best.trial_id if best else "",
        "is_first_trial": bool(outcomes) and best is outcomes[0],
        "cnn_config": dataclasses.asdict(best.cnn_config) if best else {},
        "by_class": score.by_class(calibrated, labels, clips.classes),
        "temperature": temperature,
        "calibration_error": {
            "before": calibration_error(*score.reliability(probabilities, labels)),
            "after": calibration_error(*score.reliability(calibrated, labels)),
        },
    }
    if clips.background_label is not None:
        metrics["background_label"] = clips.background_label
    if not clips.has_several_labels:
        curve = held_out_curve(calibrated, labels, clips.background_index)
        metrics["coverage_at_precision"] = {
            f"{precision:g}": curve.coverage_for(precision) for precision in SHOWN_PRECISIONS
        }
    return cast(SearchMetrics, metrics)


def held_out(kept: Candidate, clips: LabeledClips, metrics: SearchMetrics) -> HeldOut:
    """Return the kept classifier's predictions, calibrated, beside the true labels."""
    calibrated = clips.score.apply_temperature(kept.probabilities, metrics["temperature"])
    return HeldOut(calibrated, clips.labels[kept.rows])


def draw(
    outcomes: Sequence[Outcome], kept: Candidate, clips: LabeledClips, metrics: SearchMetrics
) -> dict[str, np.ndarray]:
    """Plot the search and the kept classifier: RGB pictures `[H, W, 3]`, by file name."""
    score = clips.score
    calibrated, labels = held_out(kept, clips, metrics)
    title = f"validation: {metrics['split']}"
    name = layout.CLASS_SCORES_NAME if clips.has_several_labels else layout.CONFUSION_MATRIX_NAME
    pictures = {
        name: draw_classes(clips, kept.rows, calibrated, title),
        layout.RELIABILITY_NAME: plots.reliability(
            {
                "as trained": score.reliability(kept.probabilities, labels)[:2],
                "calibrated": score.reliability(calibrated, labels)[:2],
            },
            title,
        ),
    }
    if not clips.has_several_labels:
        points = held_out_curve(calibrated, labels, clips.background_index).points
        pictures[layout.COVERAGE_NAME] = plots.precision_over_coverage(
            [point.coverage for point in points], [point.precision for point in points], title
        )
    return pictures | (_draw_search(outcomes, metrics["trial"], score) if outcomes else {})


def _draw_search(
    outcomes: Sequence[Outcome], best_trial: str, score: Score
) -> dict[str, np.ndarray]:
    pictures = {
        layout.LEARNING_CURVES_NAME: plots.curves(
            {
                outcome.trial_id: [epoch[score.metric] for epoch in outcome.history]
                for outcome in outcomes
                if outcome.history
            },
            "each trial",
            "epoch",
            f"validation {score.title}",
            highlight=best_trial,
        ),
        layout.SEARCH_PROGRESS_NAME: _draw_progress(outcomes),
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


def _draw_progress(outcomes: Sequence[Outcome]) -> np.ndarray:
    valid = sorted(
        (outcome for outcome in outcomes if outcome.is_valid and outcome.history),
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
