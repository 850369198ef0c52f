"""Vary a batch of log-mel spectrograms while a classifier trains.

NumPy only. Everything random comes from the generator given, so (seed, epoch, step) decides it.
Shapes: N clips, M mel bands, T frames, K classes.
"""

import numpy as np

from freqquest.cnn.config import FLOOR_DB, CnnConfig

_NUM_KNOTS = 6
"""Points over the bands between which filters and noise colors are drawn as straight lines."""

_LARGEST_MASK = 1 / 8, 3 / 16
"""Widest stripe, as a share of the bands and of the frames."""


def augment(
    spectrograms: np.ndarray,
    targets: np.ndarray,
    config: CnnConfig,
    fill: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Varied spectrograms `[N, M, T]`, again in decibels below each one's maximum, and their targets `[N, K]`.

    Args:
        spectrograms: `[N, M, T]`, from `FLOOR_DB` to 0 dB; left as they are.
        targets: `[N, K]`, one-hot.
        config: Which variations, and how strong.
        fill: What stands in a blanked stripe, in dB: the mean over the training clips.
        rng: Source of all that is random.
    """
    varied = shift(spectrograms, config.time_shift, config.band_shift, rng).astype(np.float32)
    if config.equalizer_db:
        varied += _lines(
            rng.uniform(-config.equalizer_db, config.equalizer_db, (len(varied), _NUM_KNOTS)),
            varied,
        )
    if config.noise_db:
        varied = np.maximum(varied, _noise(config.noise_db, varied, rng))
    if config.mixup:
        varied, targets = mix(varied, targets, config.mixup, rng)
    if config.equalizer_db or config.noise_db or config.mixup:
        varied -= varied.max(axis=(1, 2), keepdims=True)
    np.maximum(varied, FLOOR_DB, out=varied)
    blank_stripes(varied, config.num_masks, fill, rng)
    return varied, targets


def shift(
    spectrograms: np.ndarray, in_time: bool, most_bands: int, rng: np.random.Generator
) -> np.ndarray:
    """Turn each spectrogram `[N, M, T]` in time, and move it by up to so many bands; edge bands fill what opens."""
    count, num_bands, num_frames = spectrograms.shape
    turns = rng.integers(num_frames if in_time else 1, size=(count, 1))
    moves = rng.integers(-most_bands, most_bands + 1, size=(count, 1))
    frames = (np.arange(num_frames) - turns) % num_frames
    bands = np.clip(np.arange(num_bands) - moves, 0, num_bands - 1)
    return spectrograms[np.arange(count)[:, None, None], bands[:, :, None], frames[:, None, :]]


def mix(
    spectrograms: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each clip with another of the batch, in decibels, keeping the larger share of itself (Zhang et al., 2018)."""
    shares = rng.beta(alpha, alpha, len(targets)).astype(np.float32)
    shares = np.maximum(shares, 1 - shares)
    others = rng.permutation(len(targets))
    mixed = (
        spectrograms * shares[:, None, None] + spectrograms[others] * (1 - shares)[:, None, None]
    )
    return mixed, targets * shares[:, None] + targets[others] * (1 - shares)[:, None]


def blank_stripes(
    spectrograms: np.ndarray, count: int, fill: float, rng: np.random.Generator
) -> None:
    """Set so many stripes over bands, and over time, to one value, in place (Park et al., 2019)."""
    for clip in spectrograms:
        for view, largest in ((clip, _LARGEST_MASK[0]), (clip.T, _LARGEST_MASK[1])):
            for _ in range(count):
                width = rng.integers(int(largest * len(view)) + 1)
                start = rng.integers(len(view) - width + 1)
                view[start : start + width] = fill


def _noise(range_db: float, spectrograms: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colored noise `[N, M, T]` in dB, of a level up to so far above the floor, its power exponentially distributed
    as that of Gaussian noise is.
    """
    count = len(spectrograms)
    levels = (
        FLOOR_DB + rng.uniform(0, range_db, (count, 1)) + rng.uniform(-10, 10, (count, _NUM_KNOTS))
    )
    power = rng.standard_exponential(spectrograms.shape, np.float32)
    return _lines(levels, spectrograms) + 10 * np.log10(power + 1e-6)


def _lines(knots: np.ndarray, spectrograms: np.ndarray) -> np.ndarray:
    """Values `[N, knots]` joined by straight lines over the bands: `[N, M, 1]`."""
    places = np.linspace(0, knots.shape[1] - 1, spectrograms.shape[1])
    left = np.minimum(places.astype(int), knots.shape[1] - 2)
    share = places - left
    return (knots[:, left] * (1 - share) + knots[:, left + 1] * share)[:, :, None].astype(
        np.float32
    )
