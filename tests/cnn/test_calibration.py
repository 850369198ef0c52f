import numpy as np
import pytest

from freqquest.cnn.calibration import (
    apply_temperature,
    calibration_error,
    fit_temperature,
    reliability_bins,
)


def miscalibrated(num_clips=4000, temperature=2.0):
    """Return well calibrated probabilities of two classes, softened, and the true classes."""
    rng = np.random.default_rng(0)
    calibrated = rng.uniform(0.02, 0.98, num_clips)
    truth = (rng.random(num_clips) < calibrated).astype(int)
    return apply_temperature(np.stack([1 - calibrated, calibrated], axis=1), temperature), truth


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_fitted_temperature_restores_the_calibration(temperature):
    probabilities, truth = miscalibrated(temperature=temperature)
    fitted = fit_temperature(probabilities, truth)
    assert fitted == pytest.approx(1 / temperature, rel=0.1)
    before, after = (
        calibration_error(*reliability_bins(p, truth))
        for p in (probabilities, apply_temperature(probabilities, fitted))
    )
    assert after < 0.02 < before


def test_a_few_correct_clips_do_not_make_a_model_certain():
    probabilities = np.array([[0.6, 0.4], [0.55, 0.45], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([0, 0, 1, 1])
    calibrated = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    assert calibrated.max() < 0.98


def test_reliability_has_a_point_for_each_bin_with_clips():
    confidence, accuracy, counts = reliability_bins(
        np.array([[0.95, 0.05], [0.93, 0.07], [0.4, 0.6]]), np.array([0, 1, 1])
    )
    np.testing.assert_allclose(confidence, [0.6, 0.94])
    np.testing.assert_allclose(accuracy, [1.0, 0.5])
    assert counts.tolist() == [1, 2]
