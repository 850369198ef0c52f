"""Metrics by the nearest neighbors of clips, each clip being a point.

NumPy and SciPy; no torch, no Ray. Shapes: N, M clips, A axes.
"""

import numpy as np
from scipy.spatial.distance import cdist

from freqquest.cgan.distances import subsample

_NUM_NEIGHBORS = 5
"""Neighbors whose farthest is as far from a real clip as its ball reaches; as in Naeem et al."""


def density_and_coverage(
    generated: np.ndarray, real: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
    """Return density and coverage of generated clips `[N, A]`, given real clips `[M, A]`.

    Each real clip has a ball that just holds its five nearest real clips. Density is the number of
    balls that a generated clip is in, on average, divided by five; it is 1 on average for clips of
    the same distribution, and more for clips that crowd where real ones are dense. Coverage is the
    share of balls with a generated clip in them. (Naeem et al., 2020, "Reliable fidelity and
    diversity metrics for generative models".)

    As many clips of both are compared, evenly spaced, because coverage depends on the numbers.
    Both are None if there are fewer than six.
    """
    count = min(len(generated), len(real))
    if count <= _NUM_NEIGHBORS:
        return None, None
    generated, real = subsample(generated, count), subsample(real, count)
    radii = np.sort(cdist(real, real), axis=1)[:, _NUM_NEIGHBORS]  # the first is the clip itself
    is_inside = cdist(real, generated) <= radii[:, None]
    return float(is_inside.sum() / (_NUM_NEIGHBORS * count)), float(is_inside.any(axis=1).mean())


def copying(generated: np.ndarray, held_out: np.ndarray) -> float | None:
    """Return the probability that a generated clip is nearer to the training clips than a real one.

    It is the Mann-Whitney statistic of Meehan et al. (2020, "A non-parametric test to detect
    data-copying in generative models"), as a share: 0.5 is usual, 1 is a copy or a timid variation,
    and 0 is far from all training clips. Ties count half.

    Args:
        generated: Distances `[N]` of generated clips from their nearest training clips.
        held_out: The same of held-out real clips, `[M]`.
    """
    if not len(generated) or not len(held_out):
        return None
    differences = held_out[None] - generated[:, None]
    return float((np.sign(differences).mean() + 1) / 2)
