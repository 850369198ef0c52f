import numpy as np
import pytest

from freqquest.benchmark.generators_sound import flatness, level_db, of_training_clips
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.conftest import tone


def test_a_level_is_that_of_the_root_mean_square():
    assert level_db(np.full(100, 0.1)) == pytest.approx(-20, abs=0.01)
    assert level_db(np.zeros(100)) == -90


def test_flatness_is_high_for_noise_low_for_tones_and_ignores_silence():
    noise = np.random.default_rng(0).standard_normal(22_050)
    assert 0.4 < flatness(noise) < 0.7  # of single frames; that of the mean spectrum would be 1
    assert flatness(tone(1000.0)) < 0.01
    with_pauses = np.concatenate([noise, 1e-6 * np.sin(np.arange(44_100))])
    assert flatness(with_pauses) == pytest.approx(flatness(noise), rel=0.05)


def test_training_clips_are_measured_by_class(dataset_dir):
    dataset = locate(dataset_dir)
    sound = of_training_clips(dataset, load_manifest(dataset))
    assert list(sound) == ["high", "low"]
    for level, flat in sound.values():
        assert level == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=0.2)
        assert flat < 0.01
