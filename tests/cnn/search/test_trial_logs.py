import numpy as np

from freqquest.cnn.search.trial_logs import worst_mistakes


def test_mistakes_come_with_the_most_confident_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert worst_mistakes(np.array([1, 1, 1]), probabilities).tolist() == [0, 1]
