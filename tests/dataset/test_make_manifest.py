import numpy as np

from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.splits import read_split


def test_the_normalization_is_over_the_training_split(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    train = read_split(locate(dataset_dir), manifest, "train", "cnn").spectrograms.astype(
        np.float64
    )
    statistics = manifest.normalization["cnn"]
    np.testing.assert_allclose(statistics.mean, train.mean(), rtol=1e-4)
    np.testing.assert_allclose(statistics.standard_deviation, train.std(), rtol=1e-4)
    np.testing.assert_allclose(statistics.band_means, train.mean(axis=(0, 2)), rtol=1e-4)
