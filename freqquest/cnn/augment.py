"""Augmentation of log-mel spectrograms during training.

NumPy only, no Ray. All randomness comes from the generator passed in, which (seed, epoch, step)
seeds.
Shapes: N clips, M mel bands, T frames, K classes.
"""

import numpy as np

from freqquest.cnn.config import FLOOR_DB, CnnConfig

_NUM_KNOTS = 6
"""Points of the piecewise linear curves over the bands that shape filters and noise."""

_LARGEST_MASK = 1 / 8, 3 / 16
"""Widest mask, as a share of the bands and of the frames."""


def augment(
    spectrograms: np.ndarray,
    targets: np.ndarray,
    config: CnnConfig,
    fill: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Augment a batch of clips.

    Args:
        spectrograms: `[N, M, T]`, from `FLOOR_DB` to 0 dB; not modified.
        targets: `[N, K]`, 1 for each label.
        config: Kinds and strengths of the augmentation.
        fill: Value of masked stripes, in dB: the mean over the training clips.
        rng: Source of randomness.

    Returns:
        Spectrograms `[N, M, T]`, again in dB below each clip's maximum, and targets `[N, K]`.
    """
    max_bands = round(config.band_shift * spectrograms.shape[1])
    augmented = shift(spectrograms, config.time_shift, max_bands, rng).astype(np.float32)
    if config.equalizer_db:
        augmented += _interpolate(
            rng.uniform(-config.equalizer_db, config.equalizer_db, (len(augmented), _NUM_KNOTS)),
            augmented,
        )
    if config.noise_db:
        augmented = np.maximum(augmented, _noise(config.noise_db, augmented, rng))
    if config.mixup:
        augmented, targets = mix(augmented, targets, config.mixup, rng)
    if config.equalizer_db or config.noise_db or config.mixup:
        augmented -= augmented.max(axis=(1, 2), keepdims=True)
    np.maximum(augmented, FLOOR_DB, out=augmented)
    mask_stripes(augmented, config.num_masks, fill, rng)
    return augmented, targets


def shift(
    spectrograms: np.ndarray, in_time: bool, max_bands: int, rng: np.random.Generator
) -> np.ndarray:
    """Rotate each spectrogram `[N, M, T]` in time and shift it over bands, repeating edge bands."""
    count, num_bands, num_frames = spectrograms.shape
    rotations = rng.integers(num_frames if in_time else 1, size=(count, 1))
    shifts = rng.integers(-max_bands, max_bands + 1, size=(count, 1))
    frames = (np.arange(num_frames) - rotations) % num_frames
    bands = np.clip(np.arange(num_bands) - shifts, 0, num_bands - 1)
    shifted: np.ndarray = spectrograms[
        np.arange(count)[:, None, None], bands[:, :, None], frames[:, None, :]
    ]
    return shifted


def mix(
    spectrograms: np.ndarray, targets: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each clip with another one of the batch, in dB; each keeps the larger share.

    Source: Zhang et al., 2018, "mixup: Beyond Empirical Risk Minimization".
    """
    shares = rng.beta(alpha, alpha, len(targets)).astype(np.float32)
    shares = np.maximum(shares, 1 - shares)
    others = rng.permutation(len(targets))
    mixed = (
        spectrograms * shares[:, None, None] + spectrograms[others] * (1 - shares)[:, None, None]
    )
    return mixed, targets * shares[:, None] + targets[others] * (1 - shares)[:, None]


def mask_stripes(
    spectrograms: np.ndarray, count: int, fill: float, rng: np.random.Generator
) -> None:
    """Mask `count` stripes over bands and as many over time, in place (Park et al., 2019)."""
    for clip in spectrograms:
        for view, largest in ((clip, _LARGEST_MASK[0]), (clip.T, _LARGEST_MASK[1])):
            for _ in range(count):
                width = rng.integers(int(largest * len(view)) + 1)
                start = rng.integers(len(view) - width + 1)
                view[start : start + width] = fill


def _noise(range_db: float, spectrograms: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return colored noise `[N, M, T]` in dB, of a random level up to `range_db` above the floor.

    Its power is exponentially distributed, like that of Gaussian noise.
    """
    count = len(spectrograms)
    levels = (
        FLOOR_DB + rng.uniform(0, range_db, (count, 1)) + rng.uniform(-10, 10, (count, _NUM_KNOTS))
    )
    power = rng.standard_exponential(spectrograms.shape, np.float32)
    noise: np.ndarray = _interpolate(levels, spectrograms) + 10 * np.log10(power + 1e-6)
    return noise


def _interpolate(knots: np.ndarray, spectrograms: np.ndarray) -> np.ndarray:
    """Interpolate values `[N, knots]` linearly over the bands: `[N, M, 1]`."""
    positions = np.linspace(0, knots.shape[1] - 1, spectrograms.shape[1])
    left = np.minimum(positions.astype(int), knots.shape[1] - 2)
    share = positions - left
    values: np.ndarray = knots[:, left] * (1 - share) + knots[:, left + 1] * share
    return values[:, :, None].astype(np.float32)
