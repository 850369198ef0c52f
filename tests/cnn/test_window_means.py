import numpy as np

from freqquest.cnn.window_means import WindowMeans


def test_the_windows_of_a_file_are_averaged_wherever_they_arrive():
    means = WindowMeans(num_files=4, num_classes=2)
    assert means.add(np.array([0, 2, 2]), np.array([[1, 0], [0.5, 0.5], [0.1, 0.9]])) == 2
    assert means.add(np.array([2, 3]), np.array([[0.3, 0.7], [0, 1]])) == 1
    np.testing.assert_allclose(means.means(), [[1, 0], [0, 0], [0.3, 0.7], [0, 1]], atol=1e-6)
