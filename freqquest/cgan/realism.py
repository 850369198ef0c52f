"""Metrics of how close generated clips come to real ones, in one space.

NumPy, SciPy and scikit-learn; no torch, no Ray. Metrics of different epochs and runs are
comparable, because distances are taken in the same space and relative to the same real clips.
Shapes: N, M clips, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from freqquest.cgan.distances import diversity, frechet_distance, kernel_distance
from freqquest.cgan.judged_clips import ClassifierOutputs, Points
from freqquest.cgan.neighbors import copying, density_and_coverage
from freqquest.cgan.real_clips import CLASSIFIER, RealClips, Space, single_threaded

_MIN_FOR_FRECHET = 5
"""Minimum number of clips for a Frechet distance."""
_NUM_DRAWS = 10
"""Draws of training clips that the baseline averages."""
_NAMES = (
    *("accuracy", "kernel", "frechet", "diversity", "density", "coverage"),
    *("nearest_ratio", "copying", "memorized"),
)
"""Names of the metrics, in the order of tables."""

Metrics = dict[str, float | None]
"""Metrics by name; None if there are too few clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealismMetrics:
    """Metrics of some clips."""

    num_clips: int
    """Number of clips."""
    overall: Metrics
    """Metrics over all classes:

    - `accuracy`: share of clips that are classified as intended;
    - `kernel`, `frechet` (on principal axes only): distances to the held-out real clips;
    - `diversity`: distances within a class, relative to training clips; the mean over classes;
    - `density`, `coverage`: see `density_and_coverage`, by held-out clips; the mean over classes;
    - `nearest_ratio`: median distance to the nearest training clip, relative to held-out clips of
      the class; 1 is usual, 0 is a copy;
    - `copying`: probability that a generated clip is nearer to a training clip than a held-out clip
      of its class is, see `copying`; the mean over classes; 0.5 is usual;
    - `memorized`: share of clips closer to a training clip than 99 % of held-out clips are. It
      finds three in four training clips that were converted to the generator's view and back to
      sound (44 of 60, UrbanSound8K), and no held-out clip treated likewise (of 55); their
      `nearest_ratio` is 0.15 and 1.01.
    """
    by_class: dict[str, Metrics]
    """The same metrics by class."""
    space: Space = CLASSIFIER
    """The space of the distances."""

    @property
    def balanced_kernel(self) -> float | None:
        """Mean of the kernel distance of all clips and the mean of the classes' kernel distances.

        The latter hardly changes the former if one class of many is neglected.
        """
        by_class = mean_of_known(metrics["kernel"] for metrics in self.by_class.values())
        return mean_of_known([self.overall["kernel"], by_class])


@single_threaded
def measure_realism(generated: ClassifierOutputs, real: RealClips) -> RealismMetrics:
    """Return the metrics of generated clips.

    Sixteen clips of each class, 80 in all, suffice for the overall metrics; see `frechet_distance`
    for its error.
    """
    points = real.points(generated)
    by_class = _metrics_by_class(points, real)
    for index, label in enumerate(real.classes):
        held_out = real.held_out.of_class(index)
        by_class[label] |= _class_distances(points.of_class(index), held_out, real)
    distances = _distances(points, real.held_out.distinct(), real)
    return _combine(points, by_class, distances, real)


@single_threaded
def measure_real_baseline(real: RealClips, num_clips: int) -> RealismMetrics:
    """Return the same metrics of real clips, for comparison with those of generated ones.

    `frechet`, `kernel`, `density` and `coverage` compare held-out clips with as many training clips
    as were generated, so both have the same error (the mean of several draws); no generator should
    do better. The others are those of the held-out clips, whose `nearest_ratio` is near 1,
    `copying` 0.5 and `memorized` near 0.01 by definition. `accuracy` is too high if the judge
    learned from the held-out clips, as the final model of the tune_cnn job did.

    Args:
        real: Real clips.
        num_clips: Number of generated clips of each class.
    """
    draws = [real.training.draw(num_clips, seed) for seed in range(_NUM_DRAWS)]
    by_class = _metrics_by_class(real.held_out, real)
    for index, label in enumerate(real.classes):
        held_out = real.held_out.of_class(index)
        by_class[label] |= _mean(
            [_class_distances(draw.of_class(index), held_out, real) for draw in draws]
        )
    held_out = real.held_out.distinct()
    distances = _mean([_distances(draw.distinct(), held_out, real) for draw in draws])
    return _combine(real.held_out, by_class, distances, real)


def _combine(
    clips: Points, by_class: dict[str, Metrics], distances: Metrics, real: RealClips
) -> RealismMetrics:
    # Those that are not measured of all clips together are means over classes.
    values = _mean(list(by_class.values())) | _basic_metrics(clips, real) | distances
    overall = {name: values[name] for name in _NAMES if name in values}
    return RealismMetrics(
        num_clips=len(clips), overall=overall, by_class=by_class, space=real.space
    )


def _metrics_by_class(clips: Points, real: RealClips) -> dict[str, Metrics]:
    metrics = {}
    for index, label in enumerate(real.classes):
        members, reference = clips.of_class(index), real.training.of_class(index)
        ratios_of_held_out = real.held_out_ratios[real.held_out.class_indices == index]
        metrics[label] = _basic_metrics(members, real) | {
            "copying": copying(real.nearest_ratios(members), ratios_of_held_out),
            "diversity": diversity(members.coordinates, reference.coordinates),
        }
    return metrics


def _basic_metrics(clips: Points, real: RealClips) -> Metrics:
    """Return the metrics that need no comparison with held-out clips."""
    if not len(clips):
        return dict.fromkeys(("accuracy", "nearest_ratio", "memorized"))
    ratios = real.nearest_ratios(clips)
    return {
        "accuracy": float(clips.is_correct.mean()),
        "nearest_ratio": float(np.median(ratios)),
        "memorized": float((ratios <= real.memorized_ratio).mean()),
    }


def _distances(clips: Points, held_out: Points, real: RealClips) -> Metrics:
    a, b, fewest = clips.coordinates, held_out.coordinates, min(len(clips), len(held_out))
    distances: Metrics = {}
    if real.space.num_axes is not None:
        distances["frechet"] = frechet_distance(a, b) if fewest >= _MIN_FOR_FRECHET else None
    distances["kernel"] = kernel_distance(a, b, real.kernel_width) if fewest >= 2 else None
    return distances


def _class_distances(clips: Points, held_out: Points, real: RealClips) -> Metrics:
    density, coverage = density_and_coverage(clips.coordinates, held_out.coordinates)
    return _distances(clips, held_out, real) | {"density": density, "coverage": coverage}


def _mean(several: list[Metrics]) -> Metrics:
    """Return the mean of each metric over those that are known."""
    return {name: mean_of_known(metrics[name] for metrics in several) for name in several[0]}


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
