import numpy as np
import pytest

from freqquest.benchmark.unknown_measures import MEASURES, Outputs, Training

RNG = np.random.default_rng(0)
CENTERS = np.array([[4.0, 0, 0, 0], [0, 4.0, 0, 0]])
CLASSES = np.repeat([0, 1], 50)


def outputs(centers):
    """Features around centers; logits that grow with the first two features."""
    features = centers + RNG.normal(0, 0.3, centers.shape)
    return Outputs(logits=features[:, :2], features=features)


@pytest.mark.parametrize("name", MEASURES)
def test_clips_like_the_training_clips_are_more_confident_than_others(name):
    training = Training(outputs(CENTERS[CLASSES]), CLASSES)
    known = MEASURES[name](training, outputs(CENTERS[[0, 1] * 10]))
    unknown = MEASURES[name](training, outputs(np.tile([0.1, 0.1, 4.0, 0], (20, 1))))
    assert known.shape == unknown.shape == (20,)
    assert known.min() > unknown.max()


def test_probability_knows_only_differences_of_logits_and_energy_their_height():
    training = Training(outputs(CENTERS[CLASSES]), CLASSES)
    low, high = (Outputs(np.array([[level, level - 1.0]]), np.ones((1, 4))) for level in (0, 5))
    probability, energy = (MEASURES[name] for name in ("maximum probability", "energy"))
    assert probability(training, low) == pytest.approx(probability(training, high))
    assert energy(training, high) == pytest.approx(energy(training, low) + 5)


def test_features_that_vary_little_within_a_class_count_more_in_mahalanobis_distance():
    spread = np.array([3.0, 0.1])
    features = RNG.normal(0, 1, (200, 2)) * spread
    training = Training(Outputs(features, features), np.zeros(200, int))
    along, across = (
        Outputs(np.zeros((1, 2)), np.array([offset])) for offset in ([2.0, 0.0], [0.0, 2.0])
    )
    distance = MEASURES["Mahalanobis distance"]
    assert distance(training, along) > distance(training, across)
