import numpy as np
import pytest

from freqquest.audio.demo_signals import make_axes
from freqquest.audio.demo_sounds import SOUNDS


@pytest.mark.parametrize("class_name", SOUNDS)
def test_clips_of_one_recording_are_more_alike_than_those_of_two(class_name):
    axes = make_axes(22_050, 4.0)

    def spectrum(traits_seed: int, moment_seed: int) -> np.ndarray:
        traits, moment = np.random.default_rng(traits_seed), np.random.default_rng(moment_seed)
        power = np.abs(np.fft.rfft(SOUNDS[class_name](traits, moment, axes))) ** 2
        bands_db = 10 * np.log10(1e-6 + power[1:].reshape(100, -1).mean(axis=1))
        return bands_db - bands_db.mean()

    def mean_distance_db(traits_step: int) -> float:
        return float(
            np.mean(
                [
                    np.abs(spectrum(seed, 1) - spectrum(seed + traits_step, 2)).mean()
                    for seed in range(12)
                ]
            )
        )

    assert mean_distance_db(0) < 0.75 * mean_distance_db(100)
