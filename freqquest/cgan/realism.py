"""Metrics of how close generated clips come to real ones, by the judge's features.

NumPy, SciPy and scikit-learn; no torch, no Ray. The judge is freqquest's own classifier, which runs
in another process.

Distances are taken between features on the leading principal axes of the real training clips. So
metrics of different epochs and runs are comparable, and need fewer clips than there are features.
Shapes: N, M clips, D features, A axes, K classes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from freqquest.cgan.distances import diversity, frechet_distance, kernel_distance, subsample
from freqquest.cgan.judged_clips import ClassifierOutputs, Points

NOTE = "distances on the features of freqquest's own classifier; not comparable with published FAD"
"""Note that accompanies the metrics wherever they are shown."""

_NUM_AXES = 32
"""Number of axes. They hold 97 % of the variance of 576 features (five classes of UrbanSound8K)."""
_MIN_FOR_FRECHET = 5
"""Minimum number of clips for a Frechet distance."""
_NUM_DRAWS = 10
"""Draws of training clips that the baseline averages."""
_MEMORIZED_PERCENTILE = 1
"""Percentile of the held-out clips' nearest ratios below which a clip counts as memorized."""
_COPY_RATIO = 0.05
"""Nearest ratio that always counts as memorized, even if held-out clips are copies themselves."""
_MIN_DISTANCE = 1e-3
"""Smallest distance, where the training clips' variance is 1: below, two clips are the same."""

Metrics = dict[str, float | None]
"""Metrics by name; None if there are too few clips."""

_Function = TypeVar("_Function", bound=Callable[..., object])


def _single_threaded(function: _Function) -> _Function:
    """Limit linear algebra to one thread.

    Such small matrices take twenty times as long on several threads, which wait for each other when
    cores are busy.
    """
    limited: _Function = threadpool_limits.wrap(limits=1)(function)
    return limited


@dataclass(frozen=True, kw_only=True, slots=True)
class RealismMetrics:
    """Metrics of some clips."""

    num_clips: int
    """Number of clips."""
    overall: Metrics
    """Metrics over all classes:

    - `accuracy`: share of clips that are classified as intended;
    - `frechet`, `kernel`: distances to the held-out real clips;
    - `diversity`: distances within a class, relative to training clips; the mean over classes;
    - `nearest_ratio`: median distance to the nearest training clip, relative to held-out clips of
      the class; 1 is usual, 0 is a copy;
    - `memorized`: share of clips closer to a training clip than 99 % of held-out clips are. It
      finds three in four training clips that were converted to the generator's view and back to
      sound (44 of 60, UrbanSound8K), and no held-out clip treated likewise (of 55); their
      `nearest_ratio` is 0.15 and 1.01.
    """
    by_class: dict[str, Metrics]
    """The same metrics by class."""

    def scalars(self, group: str = "judge") -> dict[str, float]:
        """Return all known metrics by tag: `judge/accuracy` overall, `judge_accuracy/siren`."""
        tags = {f"{group}/{name}": value for name, value in self.overall.items()}
        for label, metrics in self.by_class.items():
            tags |= {f"{group}_{name}/{label}": value for name, value in metrics.items()}
        return {tag: value for tag, value in tags.items() if value is not None}


class RealClips:
    """Real clips that generated ones are compared with, measured once for all evaluations."""

    @_single_threaded
    def __init__(
        self, held_out: ClassifierOutputs, training: ClassifierOutputs, classes: list[str]
    ) -> None:
        """Compute the axes, and the distances of held-out clips from training clips.

        Args:
            held_out: Clips that the generator does not learn from.
            training: Clips that it learns from, without augmented copies.
            classes: Names of the classes.
        """
        self.classes = classes
        features = training.features.astype(np.float64)
        self._center = features.mean(axis=0)
        centered = features - self._center
        spread = np.sqrt(np.square(centered).sum(axis=1).mean())
        _, directions = np.linalg.eigh(centered.T @ centered)
        self._axes = directions[:, ::-1][:, :_NUM_AXES] / max(spread, 1e-12)
        self.held_out, self.training = self.points(held_out), self.points(training)
        self.kernel_width = max(
            float(np.median(pdist(subsample(self.training.coordinates)))), _MIN_DISTANCE
        )
        self._neighbors = NearestNeighbors(n_neighbors=1).fit(self.training.coordinates)
        distances = self._nearest(self.held_out)
        self._usual_distances = np.full(
            len(classes), max(float(np.median(distances)), _MIN_DISTANCE)
        )
        for index in np.unique(self.held_out.class_indices):
            usual = np.median(distances[self.held_out.class_indices == index])
            self._usual_distances[index] = max(float(usual), _MIN_DISTANCE)
        ratios = self.nearest_ratios(self.held_out)
        self.memorized_ratio = max(float(np.percentile(ratios, _MEMORIZED_PERCENTILE)), _COPY_RATIO)

    def points(self, outputs: ClassifierOutputs) -> Points:
        """Return clips on the training clips' axes, scaled to the training clips' variance."""
        return Points(
            coordinates=(outputs.features - self._center) @ self._axes,
            class_indices=outputs.class_indices,
            is_correct=outputs.is_correct,
            clip_numbers=outputs.clip_numbers,
        )

    def nearest_ratios(self, points: Points) -> np.ndarray:
        """Return distances `[N]` to the nearest training clip of any class.

        They are relative to the median of the held-out clips of the same class.
        """
        return np.asarray(self._nearest(points) / self._usual_distances[points.class_indices])

    def nearest_numbers(self, points: Points) -> np.ndarray:
        """Return the numbers `[N]` of the nearest training clips, of any class."""
        return np.asarray(self._neighbors.kneighbors(points.coordinates)[1][:, 0])

    def _nearest(self, points: Points) -> np.ndarray:
        if not len(points):
            return np.zeros(0)
        return np.asarray(self._neighbors.kneighbors(points.coordinates)[0][:, 0])


@_single_threaded
def measure_realism(generated: ClassifierOutputs, real: RealClips) -> RealismMetrics:
    """Return the metrics of generated clips.

    Sixteen clips of each class, 80 in all, suffice for the overall metrics; see `frechet_distance`
    for its error.
    """
    points = real.points(generated)
    by_class = _metrics_by_class(points, real)
    for index, label in enumerate(real.classes):
        by_class[label] |= _distances(points.of_class(index), real.held_out.of_class(index), real)
    distances = _distances(points, real.held_out.distinct(), real)
    return _combine(points, by_class, distances, real)


@_single_threaded
def measure_real_baseline(real: RealClips, num_clips: int) -> RealismMetrics:
    """Return the same metrics of real clips, for comparison with those of generated ones.

    `frechet` and `kernel` compare held-out clips with as many training clips as were generated, so
    both have the same error (the mean of several draws); no generator should do better. The others
    are those of the held-out clips, whose `nearest_ratio` is near 1 and `memorized` near 0.01 by
    definition. `accuracy` is too high if the judge learned from the held-out clips, as the final
    model of the tune_cnn job did.

    Args:
        real: Real clips.
        num_clips: Number of generated clips of each class.
    """
    draws = [real.training.draw(num_clips, seed) for seed in range(_NUM_DRAWS)]
    by_class = _metrics_by_class(real.held_out, real)
    for index, label in enumerate(real.classes):
        held_out = real.held_out.of_class(index)
        by_class[label] |= _mean(
            [_distances(draw.of_class(index), held_out, real) for draw in draws]
        )
    held_out = real.held_out.distinct()
    distances = _mean([_distances(draw.distinct(), held_out, real) for draw in draws])
    return _combine(real.held_out, by_class, distances, real)


def format_table(generated: RealismMetrics, real: RealismMetrics) -> str:
    """Return metrics as text, with a row for each class: generated clips beside the baseline."""
    names = list(generated.overall)
    lines = ["".join([f"{'generated | real':<18}", *(f"{name:>18}" for name in names)])]
    rows = {"overall": (generated.overall, real.overall)} | {
        label: (generated.by_class[label], real.by_class[label]) for label in generated.by_class
    }
    for label, pair in rows.items():
        cells = [" | ".join(_format(metrics[name]) for metrics in pair) for name in names]
        lines.append("".join([f"{label:<18}", *(f"{cell:>18}" for cell in cells)]))
    return "\n".join([*lines, NOTE])


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def as_dict(metrics: RealismMetrics) -> dict[str, object]:
    """Return metrics for JSON, with their note."""
    return asdict(metrics) | {"note": NOTE}


def _combine(
    clips: Points, by_class: dict[str, Metrics], distances: Metrics, real: RealClips
) -> RealismMetrics:
    mean_diversity = _mean(list(by_class.values()))["diversity"]
    overall = _basic_metrics(clips, real) | {"diversity": mean_diversity} | distances
    return RealismMetrics(num_clips=len(clips), overall=overall, by_class=by_class)


def _metrics_by_class(clips: Points, real: RealClips) -> dict[str, Metrics]:
    metrics = {}
    for index, label in enumerate(real.classes):
        members, reference = clips.of_class(index), real.training.of_class(index)
        metrics[label] = _basic_metrics(members, real) | {
            "diversity": diversity(members.coordinates, reference.coordinates)
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
    return {
        "frechet": frechet_distance(a, b) if fewest >= _MIN_FOR_FRECHET else None,
        "kernel": kernel_distance(a, b, real.kernel_width) if fewest >= 2 else None,
    }


def _mean(several: list[Metrics]) -> Metrics:
    """Return the mean of each metric over those that are known."""
    known = {
        name: [value for metrics in several if (value := metrics[name]) is not None]
        for name in several[0]
    }
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}
