"""How near generated clips come to real ones, by what freqquest's own classifier hears in them.

NumPy, SciPy and scikit-learn; no torch, no Ray. The classifier itself is asked in a process of its own.

All distances are taken between points: features on the leading axes of the real training clips, so that figures of
different epochs and runs compare, and a distance needs fewer clips than there are features.
Shapes: N, M clips, D features, A axes, K classes.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from freqquest.cgan.distances import _thinned, diversity, frechet_distance, kernel_distance

NOTE = "distances on the features of freqquest's own classifier; not comparable with published FAD"
"""Stands wherever the figures do."""

_NUM_AXES = 32
"""They hold 97 % of the training clips' variance (five classes of UrbanSound8K, 576 features)."""
_FEWEST_FOR_FRECHET = 5
_NUM_DRAWS = 10
_MEMORISED_PERCENTILE = 1
_COPY_RATIO = 0.05
"""So near to a training clip is a copy, also where held-out clips themselves are copies of training clips."""
_SMALLEST_DISTANCE = 1e-3
"""What counts as one, where the training clips' total variance is 1: below, two clips are the same."""

_one_thread = threadpool_limits.wrap(limits=1)
"""Matrices this small take twenty times longer on several threads, which wait for each other on busy cores."""

Figures = dict[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifierOutputs:
    """What the classifier made of some clips."""

    probabilities: np.ndarray
    """`[N, K]`, in the order of the classes."""
    features: np.ndarray
    """`[N, D]`."""
    class_indices: np.ndarray
    """`[N]`: what the clips are meant to be."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Points:
    """Clips of one kind, as they are compared."""

    places: np.ndarray
    """`[N, A]`."""
    class_indices: np.ndarray
    """`[N]`."""
    is_right: np.ndarray
    """`[N]`, bool: whether the likeliest class is theirs."""

    def __len__(self) -> int:
        return len(self.places)

    def of_class(self, index: int) -> "Points":
        """Those of one class."""
        return self._take(np.flatnonzero(self.class_indices == index))

    def draw(self, num_clips: int, seed: int) -> "Points":
        """At most so many of each class, by chance."""
        order = np.random.default_rng(seed).permutation(len(self))
        rows = [
            order[self.class_indices[order] == index][:num_clips]
            for index in np.unique(self.class_indices)
        ]
        return self._take(np.concatenate(rows))

    def _take(self, rows: np.ndarray) -> "Points":
        return Points(
            places=self.places[rows],
            class_indices=self.class_indices[rows],
            is_right=self.is_right[rows],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RealismMetrics:
    """Figures of some clips. A figure is None where there are too few clips for it."""

    num_clips: int
    overall: Figures
    """By figure:

    - `accuracy`: share of clips heard as what they are meant to be;
    - `frechet`, `kernel`: distances to the held-out real clips;
    - `diversity`: distances within a class, over those of training clips; the mean over classes;
    - `nearest_ratio`: median distance to the nearest training clip; 1 is usual for held-out clips of a class, 0 a copy;
    - `memorized`: share of clips that are nearer to a training clip than 99 % of held-out clips are. Of training clips
      taken to the generator's view and back to sound, three in four are found so (44 of 60, UrbanSound8K), of held-out
      clips none (of 55); their `nearest_ratio` is 0.15 and 1.01.
    """
    by_class: dict[str, Figures]
    """By class and figure."""

    def scalars(self, group: str = "judge") -> dict[str, float]:
        """All figures there are: overall as `judge/accuracy`, by class as `judge_accuracy/siren`."""
        named = {f"{group}/{figure}": value for figure, value in self.overall.items()}
        for label, figures in self.by_class.items():
            named |= {f"{group}_{figure}/{label}": value for figure, value in figures.items()}
        return {name: value for name, value in named.items() if value is not None}


class RealClips:
    """The real clips that generated ones are compared with: measured once, used at every judgment."""

    @_one_thread
    def __init__(
        self, held_out: ClassifierOutputs, training: ClassifierOutputs, classes: list[str]
    ) -> None:
        """Find the axes, and how far held-out clips are from training clips.

        Args:
            held_out: Clips that the generator does not learn from.
            training: Clips that it learns from, without varied copies.
            classes: Their names.
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
            float(np.median(pdist(_thinned(self.training.places)))), _SMALLEST_DISTANCE
        )
        self._neighbors = NearestNeighbors(n_neighbors=1).fit(self.training.places)
        distances = self._nearest(self.held_out)
        self._usual_distances = np.full(
            len(classes), max(float(np.median(distances)), _SMALLEST_DISTANCE)
        )
        for index in np.unique(self.held_out.class_indices):
            usual = np.median(distances[self.held_out.class_indices == index])
            self._usual_distances[index] = max(float(usual), _SMALLEST_DISTANCE)
        ratios = self.nearest_ratios(self.held_out)
        self.memorized_ratio = max(float(np.percentile(ratios, _MEMORISED_PERCENTILE)), _COPY_RATIO)

    def points(self, heard: ClassifierOutputs) -> Points:
        """Clips on the training clips' axes, in a unit such that these have a total variance of 1."""
        return Points(
            places=(heard.features - self._center) @ self._axes,
            class_indices=heard.class_indices,
            is_right=heard.probabilities.argmax(axis=1) == heard.class_indices,
        )

    def nearest_ratios(self, points: Points) -> np.ndarray:
        """Distance to the nearest training clip of any class, over the median of held-out clips of the class, `[N]`."""
        return self._nearest(points) / self._usual_distances[points.class_indices]

    def _nearest(self, points: Points) -> np.ndarray:
        if not len(points):
            return np.zeros(0)
        return np.asarray(self._neighbors.kneighbors(points.places)[0][:, 0])


@_one_thread
def judge(generated: ClassifierOutputs, real: RealClips) -> RealismMetrics:
    """Figures of generated clips.

    Sixteen clips a class, 80 in all, are enough for the overall figures; see `frechet_distance` for its error.
    """
    points = real.points(generated)
    by_class = _own_by_class(points, real)
    for index, label in enumerate(real.classes):
        by_class[label] |= _distances(points.of_class(index), real.held_out.of_class(index), real)
    return _judgment(points, by_class, _distances(points, real.held_out, real), real)


@_one_thread
def floor(real: RealClips, num_clips: int) -> RealismMetrics:
    """The same figures of real clips, to be read beside those of generated ones.

    `frechet` and `kernel` lie between held-out clips and as many training clips as were generated, so that both have
    the same error (the mean of several draws); no generator is expected to do better. The others are the held-out
    clips' own, where `nearest_ratio` is near 1 and `memorized` near 0.01 by their definition. `accuracy` is flattered
    where the judge learned from the held-out clips, as the final model of jobs/tune_cnn.py did.

    Args:
        real: The real clips.
        num_clips: How many were generated of each class.
    """
    draws = [real.training.draw(num_clips, seed) for seed in range(_NUM_DRAWS)]
    by_class = _own_by_class(real.held_out, real)
    for index, label in enumerate(real.classes):
        held_out = real.held_out.of_class(index)
        by_class[label] |= _mean(
            [_distances(draw.of_class(index), held_out, real) for draw in draws]
        )
    distances = _mean([_distances(draw, real.held_out, real) for draw in draws])
    return _judgment(real.held_out, by_class, distances, real)


def table(generated: RealismMetrics, real: RealismMetrics) -> str:
    """Figures as text: a row for each class, generated clips beside the floor."""
    figures = list(generated.overall)
    lines = ["".join([f"{'generated | real':<18}", *(f"{figure:>18}" for figure in figures)])]
    for label in ["overall", *generated.by_class]:
        ours, theirs = (
            one.overall if label == "overall" else one.by_class[label] for one in (generated, real)
        )
        pairs = [(ours[figure], theirs[figure]) for figure in figures]
        cells = [
            " | ".join("-" if value is None else f"{value:.3f}" for value in pair) for pair in pairs
        ]
        lines.append("".join([f"{label:<18}", *(f"{cell:>18}" for cell in cells)]))
    return "\n".join([*lines, NOTE])


def as_dict(judgment: RealismMetrics) -> dict[str, object]:
    """For JSON, with the note that belongs to the figures."""
    return asdict(judgment) | {"note": NOTE}


def _judgment(
    clips: Points, by_class: dict[str, Figures], distances: Figures, real: RealClips
) -> RealismMetrics:
    varied = _mean(list(by_class.values()))["diversity"]
    overall = _own_figures(clips, real) | {"diversity": varied} | distances
    return RealismMetrics(num_clips=len(clips), overall=overall, by_class=by_class)


def _own_by_class(clips: Points, real: RealClips) -> dict[str, Figures]:
    figures = {}
    for index, label in enumerate(real.classes):
        own, reference = clips.of_class(index), real.training.of_class(index)
        figures[label] = _own_figures(own, real) | {
            "diversity": diversity(own.places, reference.places)
        }
    return figures


def _own_figures(clips: Points, real: RealClips) -> Figures:
    """What needs no comparison with held-out clips."""
    if not len(clips):
        return dict.fromkeys(("accuracy", "nearest_ratio", "memorized"))
    ratios = real.nearest_ratios(clips)
    return {
        "accuracy": float(clips.is_right.mean()),
        "nearest_ratio": float(np.median(ratios)),
        "memorized": float((ratios <= real.memorized_ratio).mean()),
    }


def _distances(clips: Points, held_out: Points, real: RealClips) -> Figures:
    a, b, fewest = clips.places, held_out.places, min(len(clips), len(held_out))
    return {
        "frechet": frechet_distance(a, b) if fewest >= _FEWEST_FOR_FRECHET else None,
        "kernel": kernel_distance(a, b, real.kernel_width) if fewest >= 2 else None,
    }


def _mean(several: list[Figures]) -> Figures:
    """Of each figure, over those that have it."""
    known = {
        name: [value for one in several if (value := one[name]) is not None] for name in several[0]
    }
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}
