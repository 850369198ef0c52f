from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.augment import augment, blank_stripes, mix, shift
from freqquest.cnn.config import PRESETS

OFF = PRESETS["reference"]
DEFAULT = PRESETS["default"]
FILL = -40.0


def rng():
    return np.random.default_rng(0)


def batch(count=6):
    """Spectrograms in dB whose maximum is 0, and one-hot targets."""
    values = rng().uniform(-80, -1, (count, 32, 40)).astype(np.float16)
    values[:, 10, 10] = 0
    return values, np.eye(3, dtype=np.float32)[np.arange(count) % 3]


def test_the_reference_sees_the_clips_as_they_are():
    spectrograms, targets = batch()
    varied, varied_targets = augment(spectrograms, targets, OFF, FILL, rng())
    assert varied.dtype == np.float32
    np.testing.assert_array_equal(varied, spectrograms)
    np.testing.assert_array_equal(varied_targets, targets)


@pytest.mark.parametrize(
    "variation",
    [
        {"time_shift": True},
        {"band_shift": 3},
        {"equalizer_db": 6.0},
        {"noise_db": 60.0},
        {"num_masks": 2},
        {"mixup": 0.3},
    ],
)
def test_each_variation_changes_the_clips_within_the_range_and_repeats_with_its_seed(variation):
    spectrograms, targets = batch()
    before = spectrograms.copy()
    config = replace(OFF, **variation)
    varied, varied_targets = augment(spectrograms, targets, config, FILL, rng())
    again, _ = augment(spectrograms, targets, config, FILL, rng())
    np.testing.assert_array_equal(varied, again)
    np.testing.assert_array_equal(spectrograms, before)
    assert (varied != spectrograms).any()
    assert varied.shape == spectrograms.shape
    assert varied.min() >= -80
    assert varied.max() == pytest.approx(0, abs=1e-5) or variation == {"num_masks": 2}
    np.testing.assert_allclose(varied_targets.sum(axis=1), 1, atol=1e-6)


def test_a_shift_turns_time_around_and_moves_bands_without_inventing_any():
    spectrogram = np.zeros((1, 32, 40), np.float32)
    spectrogram[0, 16, 20] = 1.0
    for seed in range(20):
        moved = shift(spectrogram, True, 3, np.random.default_rng(seed))
        ((_, band, _),) = np.argwhere(moved)
        assert abs(band - 16) <= 3
        assert moved.sum() == 1.0
    still = shift(spectrogram, False, 0, rng())
    np.testing.assert_array_equal(still, spectrogram)


def test_a_filter_lifts_or_lowers_a_whole_band():
    spectrograms, targets = np.full((1, 32, 40), -40, np.float16), np.eye(1, dtype=np.float32)
    varied, _ = augment(spectrograms, targets, replace(OFF, equalizer_db=6.0), FILL, rng())
    assert np.ptp(varied, axis=2).max() == pytest.approx(0, abs=1e-5)
    assert 1 < np.ptp(varied[0, :, 0]) <= 12
    assert varied.max() == 0  # again decibels below the maximum


def test_mixing_keeps_the_larger_share_of_the_clip_itself():
    spectrograms, targets = batch(64)
    mixed, mixed_targets = mix(spectrograms.astype(np.float32), targets, 1.0, rng())
    own = mixed_targets[np.arange(64), targets.argmax(axis=1)]
    assert (own >= 0.5).all()
    assert (own < 0.9).any()
    assert mixed.shape == spectrograms.shape


def test_stripes_are_blanked_over_an_eighth_of_the_bands_at_most():
    spectrograms = batch(32)[0].astype(np.float32)
    blanked = spectrograms.copy()
    blank_stripes(blanked, 1, FILL, rng())
    whole_bands = (blanked != spectrograms).all(axis=2).sum(axis=1)
    assert 1 <= whole_bands.max() <= 32 // 8
    assert set(blanked[blanked != spectrograms]) == {FILL}
    assert ((blanked != spectrograms).mean(axis=(1, 2)) < 0.35).all()


def test_the_default_varies_every_clip():
    spectrograms, targets = batch()
    varied, _ = augment(spectrograms, targets, DEFAULT, FILL, rng())
    assert ((varied != spectrograms).mean(axis=(1, 2)) > 0.5).all()
