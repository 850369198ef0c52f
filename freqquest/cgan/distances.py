"""TODO: say what this module is for."""

import numpy as np
from scipy.spatial.distance import cdist, pdist
from sklearn.covariance import ledoit_wolf

_MOST_PAIRED = 2_000
"""Where each clip is compared with each, so many are enough; chosen evenly."""


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two normal distributions fitted to `[N, A]` and `[M, A]`; never negative.

    |mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2) (Dowson and Landau, 1982), which compares
    images by a network's features in Heusel et al. (2017), and audio in Kilgour et al. (2019). Covariances are shrunk
    (Ledoit and Wolf, 2004) and roots are taken of eigenvalues: a general matrix root can turn complex.

    Few clips look far from anything. Between two draws of the same real training clips, on `RealClips`' axes, it is on
    average:

    | clips, against 180 | 16 | 40 | 80 | 160 | 400 | | of one class, against 100 | 4 | 8 | 16 | 32 |
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    | distance | 0.27 | 0.11 | 0.06 | 0.04 | 0.03 | | distance | 0.27 | 0.15 | 0.09 | 0.06 |

    which is an error to be added to a true distance, of 0.18 between one fold of UrbanSound8K and three others, all
    classes together. So take 80 clips or more, 16 of each class, and always the same number.
    """
    covariance_a, covariance_b = ledoit_wolf(a)[0], ledoit_wolf(b)[0]
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    between_means = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return max(
        0.0, float(between_means + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap)
    )


def kernel_distance(a: np.ndarray, b: np.ndarray, width: float) -> float:
    """Squared maximum mean discrepancy of `[N, A]` and `[M, A]`, without bias: 0 on average between equals, or below.

    With a Gaussian kernel, as wide as the median distance of reference clips, it is the kernel audio distance (Chung et
    al., 2025, "KAD: No More FAD!"), without its scaling factor. At most 2.

    Args:
        a: Two points or more.
        b: Two points or more.
        width: The kernel's, always the same for figures that are to be compared.
    """
    a, b = _thinned(a), _thinned(b)

    def kernel(distances: np.ndarray) -> np.ndarray:
        weights: np.ndarray = np.exp(-np.square(distances) / (2 * width**2))
        return weights

    return float(kernel(pdist(a)).mean() + kernel(pdist(b)).mean() - 2 * kernel(cdist(a, b)).mean())


def diversity(points: np.ndarray, reference: np.ndarray) -> float | None:
    """Mean distance between clips of one class `[N, A]`, over that of real ones `[M, A]`; 0 where all are the same."""
    if min(len(points), len(reference)) < 2:
        return None
    usual = pdist(_thinned(reference)).mean()
    return float(pdist(_thinned(points)).mean() / usual) if usual > 0 else None


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[np.linspace(0, len(points) - 1, min(len(points), _MOST_PAIRED)).astype(int)]
