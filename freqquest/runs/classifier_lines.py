"""Lines of the closing summary on the classifier."""

from statistics import pstdev

from freqquest.runs.metrics import (
    CLASSIFIER_TITLES,
    SCORE_TITLES,
    ClassifiersMetrics,
    ClassMetrics,
    CnnMetrics,
    RunMetrics,
    StartMetrics,
    search_score,
)


def class_table(metrics: RunMetrics) -> list[str]:
    """Return the lines of the classification report of the validation clips."""
    if "cnn" not in metrics:
        return []
    by_class = metrics["cnn"]["by_class"]
    rows = [
        f"{label:<24}{row['precision']:>10.2f}{row['recall']:>10.2f}{row['support']:>8.0f}"
        f"{_label_cells(row)}"
        for label, row in by_class.items()
    ]
    header = f"{'class':<24}{'precision':>10}{'recall':>10}{'clips':>8}"
    if any("threshold" in row for row in by_class.values()):
        header += f"{'average precision':>19}{'threshold':>11}"
    return [header, *rows, ""]


def _label_cells(row: ClassMetrics) -> str:
    """Return the cells that a class has only if clips have several labels."""
    if "threshold" not in row:
        return ""
    average = row["average_precision"]
    return f"{'-' if average is None else f'{average:.2f}':>19}{row['threshold']:>11.2f}"


def classifier_lines(cnn: CnnMetrics) -> list[str]:
    """Return the main results, each with the data it was measured on."""
    name, score, by_fold = search_score(cnn)
    folds = ""
    if len(by_fold) > 1:
        each = ", ".join(f"{of_fold:.3f}" for of_fold in by_fold)
        folds = f"; {each} on each fold, spread {pstdev(by_fold):.3f}"
    choices = ["configuration"] * (cnn["num_trials"] > 1)
    choices += ["epoch"] * (cnn["cnn_config"].get("schedule") == "plateau")
    choices += ["classifier"] * ("classifiers" in cnn and cnn["classifiers"]["is_chosen"])
    chosen = f"; the same clips chose the {' and the '.join(choices)}" if choices else ""
    num_extra = cnn.get("num_extra_clips")
    extra = f"; trained on {num_extra} extra clips too" if num_extra else ""
    line = (
        f"classifier's {SCORE_TITLES[name]}: {score:.3f} on {cnn['num_clips']} validation clips of "
        f"{cnn['num_recordings']} recordings ({cnn['split']}{folds}){chosen}{extra}"
    )
    lines = [line]
    if "classifiers" in cnn:
        lines.append(_comparison_line(cnn["classifiers"], SCORE_TITLES[name]))
    if "start" in cnn:
        lines.append(_start_line(cnn["start"], SCORE_TITLES[name]))
    return [*lines, cnn["audit"]["sentence"]] if "audit" in cnn else lines


def _start_line(start: StartMetrics, title: str) -> str:
    doubt = "" if start["is_unheard"] else ", which that model may have been trained on"
    added = f"; new classes: {', '.join(start['new_classes'])}" if start["new_classes"] else ""
    dropped = start["dropped_classes"]
    gone = f"; classes that are gone: {', '.join(dropped)}" if dropped else ""
    return (
        f"trained on from {start['model']}: {title} {start['before']:.3f} before, "
        f"{start['after']:.3f} after on the {start['num_clips']} validation clips of its classes"
        f"{doubt}{added}{gone}"
    )


def _comparison_line(classifiers: ClassifiersMetrics, title: str) -> str:
    kept, reason = CLASSIFIER_TITLES[classifiers["kept"]], "as set"
    if classifiers["is_chosen"]:
        reason = f"by their {title} on the same clips"
    each = ", ".join(
        f"{CLASSIFIER_TITLES[kind]} {score:.3f}" for kind, score in classifiers["scores"].items()
    )
    return f"kept: {kept}, {reason} ({each})"
