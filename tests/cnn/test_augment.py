import hashlib
from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.augment import augment, mask_stripes, mix, shift
from freqquest.cnn.config import PRESETS

OFF = PRESETS["reference"]
DEFAULT = PRESETS["default"]
FILL = -40.0


def rng():
    return np.random.default_rng(0)


def batch(count=6):
    """Return spectrograms in dB whose maximum is 0, and one-hot targets."""
    values = rng().uniform(-80, -1, (count, 32, 40)).astype(np.float16)
    values[:, 10, 10] = 0
    return values, np.eye(3, dtype=np.float32)[np.arange(count) % 3]


def test_the_reference_does_not_augment():
    spectrograms, targets = batch()
    augmented, augmented_targets = augment(spectrograms, targets, OFF, FILL, rng())
    assert augmented.dtype == np.float32
    np.testing.assert_array_equal(augmented, spectrograms)
    np.testing.assert_array_equal(augmented_targets, targets)


@pytest.mark.parametrize(
    "augmentation",
    [
        {"time_shift": True},
        {"band_shift": 3 / 32},
        {"equalizer_db": 6.0},
        {"noise_db": 60.0},
        {"num_masks": 2},
        {"mixup": 0.3},
    ],
)
def test_each_augmentation_stays_within_the_range_and_repeats_with_its_seed(augmentation):
    spectrograms, targets = batch()
    before = spectrograms.copy()
    config = replace(OFF, **augmentation)
    augmented, augmented_targets = augment(spectrograms, targets, config, FILL, rng())
    again, _ = augment(spectrograms, targets, config, FILL, rng())
    np.testing.assert_array_equal(augmented, again)
    np.testing.assert_array_equal(spectrograms, before)
    assert (augmented != spectrograms).any()
    assert augmented.shape == spectrograms.shape
    assert augmented.min() >= -80
    assert augmented.max() == pytest.approx(0, abs=1e-5) or augmentation == {"num_masks": 2}
    np.testing.assert_allclose(augmented_targets.sum(axis=1), 1, atol=1e-6)


def test_a_shift_rotates_time_and_moves_bands():
    spectrogram = np.zeros((1, 32, 40), np.float32)
    spectrogram[0, 16, 20] = 1.0
    for seed in range(20):
        moved = shift(spectrogram, True, 3, np.random.default_rng(seed))
        ((_, band, _),) = np.argwhere(moved)
        assert abs(band - 16) <= 3
        assert moved.sum() == 1.0
    still = shift(spectrogram, False, 0, rng())
    np.testing.assert_array_equal(still, spectrogram)


def test_an_equalizer_amplifies_or_attenuates_whole_bands():
    spectrograms, targets = np.full((1, 32, 40), -40, np.float16), np.eye(1, dtype=np.float32)
    augmented, _ = augment(spectrograms, targets, replace(OFF, equalizer_db=6.0), FILL, rng())
    assert np.ptp(augmented, axis=2).max() == pytest.approx(0, abs=1e-5)
    assert 1 < np.ptp(augmented[0, :, 0]) <= 12
    assert augmented.max() == 0  # again in dB below the maximum


def test_mixing_keeps_the_larger_share_of_each_clip():
    spectrograms, targets = batch(64)
    mixed, mixed_targets = mix(spectrograms.astype(np.float32), targets, 1.0, rng())
    kept = mixed_targets[np.arange(64), targets.argmax(axis=1)]
    assert (kept >= 0.5).all()
    assert (kept < 0.9).any()
    assert mixed.shape == spectrograms.shape


def test_masks_cover_at_most_an_eighth_of_the_bands():
    spectrograms = batch(32)[0].astype(np.float32)
    masked = spectrograms.copy()
    mask_stripes(masked, 1, FILL, rng())
    whole_bands = (masked != spectrograms).all(axis=2).sum(axis=1)
    assert 1 <= whole_bands.max() <= 32 // 8
    assert set(masked[masked != spectrograms]) == {FILL}
    assert ((masked != spectrograms).mean(axis=(1, 2)) < 0.35).all()


def test_the_default_augments_every_clip():
    spectrograms, targets = batch()
    augmented, _ = augment(spectrograms, targets, DEFAULT, FILL, rng())
    assert ((augmented != spectrograms).mean(axis=(1, 2)) > 0.5).all()


def test_a_shift_is_a_share_of_the_bands():
    spectrogram = np.full((1, 64, 1), -80.0, np.float16)
    spectrogram[0, 32] = 0.0
    config = replace(OFF, band_shift=6 / 128)
    moves = set()
    for seed in range(40):
        moved, _ = augment(
            spectrogram, np.eye(1, dtype=np.float32), config, FILL, np.random.default_rng(seed)
        )
        moves.add(int(moved[0, :, 0].argmax()) - 32)
    assert moves == {-3, -2, -1, 0, 1, 2, 3}


def test_the_default_augments_clips_of_the_recipes_size_as_ever():
    """The hash was taken when shifts were counted in bands, and masks were as they are."""
    spectrograms = rng().uniform(-80, 0, (16, 128, 173)).astype(np.float16)
    targets = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    config = replace(DEFAULT, equalizer_db=0.0, mixup=0.0)  # rounded differently by processors
    augmented, _ = augment(spectrograms, targets, config, FILL, np.random.default_rng([1, 2, 3]))
    assert hashlib.sha256(augmented.tobytes()).hexdigest() == (
        "dbbaaa05a3505212b9647088098cbff6e839d5ec02d3692d0c19b0de7be97bb2"
    )


@pytest.mark.parametrize("sides", [(128, 9), (40, 126), (1, 2), (16, 1)])
def test_clips_of_any_size_are_augmented(sides):
    spectrograms = rng().uniform(-80, 0, (4, *sides)).astype(np.float16)
    everything = replace(DEFAULT, noise_db=30.0, band_shift=6 / 128)
    augmented, _ = augment(spectrograms, np.eye(4, dtype=np.float32), everything, FILL, rng())
    assert augmented.shape == spectrograms.shape
    assert np.isfinite(augmented).all()
    assert augmented.min() >= -80
