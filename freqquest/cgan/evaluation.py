"""Evaluation of generated clips in one or two spaces, as text and JSON. No Ray, no torch."""

from dataclasses import dataclass

from freqquest.cgan.realism import Metrics, RealismMetrics, mean_of_known

_COLUMN = 16
"""Width of a column of the table, in characters."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of some clips."""

    spaces: list[RealismMetrics]
    """In the space of the judge's features, then in that of the dataset's embedding, if any."""

    @property
    def mixture(self) -> float | None:
        """The value that chooses the epoch; smaller is better. None if there are too few clips.

        It is the mean, over the spaces, of half the kernel distance of all clips and half the mean
        of the classes' kernel distances. So a generator can neither win in one space alone nor by
        neglecting a class.
        """
        return mean_of_known(space.balanced_kernel for space in self.spaces)

    def overall(self) -> dict[str, float]:
        """Return the known metrics of all clips by tag: `judge/mixture`, `embedding/kernel`."""
        tags: Metrics = {"judge/mixture": self.mixture}
        for metrics in self.spaces:
            name = metrics.space.name
            tags |= {f"{name}/{metric}": value for metric, value in metrics.overall.items()}
        return _known(tags)

    def scalars(self) -> dict[str, float]:
        """Return all known metrics by tag: also those of classes, `judge_kernel/siren`."""
        tags: Metrics = {
            f"{metrics.space.name}_{name}/{label}": value
            for metrics in self.spaces
            for label, of_class in metrics.by_class.items()
            for name, value in of_class.items()
        }
        return self.overall() | _known(tags)


def for_metrics(
    generated: Evaluation, baseline: Evaluation, baseline_of_epochs: Evaluation
) -> dict[str, object]:
    """Return what metrics.json keeps of an evaluation; `GeneratorMetrics` has the types.

    Args:
        generated: The generated clips.
        baseline: The same number of real clips.
        baseline_of_epochs: As many real clips as an evaluation within the training takes.
            Distances depend on the number.
    """

    def in_space(number: int) -> dict[str, object]:
        return {
            "judge": as_dict(generated.spaces[number]),
            "baseline": as_dict(baseline.spaces[number]),
            "baseline_of_epochs": baseline_of_epochs.spaces[number].overall,
        }

    content = in_space(0)
    for number, metrics in enumerate(generated.spaces[1:], start=1):
        content[metrics.space.name] = in_space(number)
    content["mixture"] = {
        "judge": generated.mixture,
        "baseline": baseline.mixture,
        "baseline_of_epochs": baseline_of_epochs.mixture,
    }
    return content


def as_dict(metrics: RealismMetrics) -> dict[str, object]:
    """Return metrics for JSON, with the note of their space."""
    return {
        "num_clips": metrics.num_clips,
        "overall": metrics.overall,
        "by_class": metrics.by_class,
        "note": metrics.space.note,
    }


def format_evaluation(generated: Evaluation, real: Evaluation) -> str:
    """Return a table for each space, generated clips beside the baseline, below the mixture."""
    mixture = " | ".join(_format(each.mixture) for each in (generated, real))
    lines = [f"mixture, generated | real: {mixture}; it chooses the epoch, smaller is better"]
    for pair in zip(generated.spaces, real.spaces, strict=True):
        lines += ["", format_table(*pair)]
    return "\n".join(lines)


def format_table(generated: RealismMetrics, real: RealismMetrics) -> str:
    """Return metrics as text, with a row for each class: generated clips beside the baseline."""
    names = list(generated.overall)
    lines = ["".join([f"{'generated | real':<18}", *(f"{name:>{_COLUMN}}" for name in names)])]
    rows = {"overall": (generated.overall, real.overall)} | {
        label: (generated.by_class[label], real.by_class[label]) for label in generated.by_class
    }
    for label, pair in rows.items():
        cells = [" | ".join(_format(metrics[name]) for metrics in pair) for name in names]
        lines.append("".join([f"{label:<18}", *(f"{cell:>{_COLUMN}}" for cell in cells)]))
    return "\n".join([*lines, generated.space.note])


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _known(metrics: Metrics) -> dict[str, float]:
    return {tag: value for tag, value in metrics.items() if value is not None}
