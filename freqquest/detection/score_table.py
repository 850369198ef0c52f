"""Scores of detected events as a table for the console."""

from freqquest.detection.scores import Counts, DetectionScores


def describe_scores(scores: DetectionScores) -> str:
    """Return the scores as a table for the console, one line per class, and what they mean."""
    events, segments = scores["event_based"], scores["segment_based"]
    onsets, precisions = scores["onset_based"], scores.get("segment_average_precision")
    names = [*events["by_class"], "all events", "mean of classes"]
    width = max(len(name) for name in names) + 1
    titles = ["annotated", "detected", "precision", "recall", "F1", "onset F1", "segment F1"]
    titles += ["segment AP"] * (precisions is not None)
    lines = ["".join([f"{'class':<{width}}", *(f"{title:>11}" for title in titles)])]
    kinds = (events, onsets, segments)
    for name in names[:-2]:
        of_class = [kind["by_class"][name] for kind in kinds]
        lines.append(f"{name:<{width}}{_cells(*of_class)}")
        if precisions is not None:
            lines[-1] += _cell(precisions["by_class"][name])
    lines.append(f"{names[-2]:<{width}}{_cells(*(kind['micro'] for kind in kinds))}")
    macro = [kind["macro"] for kind in kinds]
    averages = [macro[0]["precision"], macro[0]["recall"], *(each["f1"] for each in macro)]
    lines.append(f"{names[-1]:<{width}}{'':>22}{''.join(map(_cell, averages))}")
    if precisions is not None:
        lines[-1] += _cell(precisions["mean"])
    return "\n".join([*lines, *_explain(scores)])


def _cells(of_events: Counts, of_onsets: Counts, of_segments: Counts) -> str:
    numbers = f"{of_events['num_annotated']:>11,}{of_events['num_detected']:>11,}"
    values = [of_events["precision"], of_events["recall"]]
    values += [counts["f1"] for counts in (of_events, of_onsets, of_segments)]
    return numbers + "".join(map(_cell, values))


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>11}"


def _explain(scores: DetectionScores) -> list[str]:
    collar = f"{scores['collar_s']:g} s"
    lines = [
        f"an event is right if its onset is within {collar} and its offset within {collar} or "
        f"{scores['offset_share']:.0%} of the annotation's length",
        f"{scores['num_recordings']:,} recordings, {scores['duration_s'] / 60:,.1f} minutes, in "
        f"segments of {scores['segment_s']:g} s",
    ]
    if missing := scores["classes_without_references"]:
        lines.append(
            f"classes without an annotation, not in the mean of classes: {', '.join(missing)}"
        )
    return lines
