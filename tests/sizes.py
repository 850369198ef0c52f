"""Settings of datasets whose clips and spectrograms have other sizes than the recipe's."""

import pytest

from freqquest.dataset.config import DatasetSettings

SIZES = {
    "16 kHz, 1 s": DatasetSettings(sample_rate=16_000, duration=1.0),
    "44.1 kHz, 5 s": DatasetSettings(sample_rate=44_100, duration=5.0),
    "22.05 kHz, 0.2 s": DatasetSettings(duration=0.2),
    "8 kHz, 3 s, 40 mels": DatasetSettings(sample_rate=8_000, duration=3.0, num_mels=40),
    "48 kHz, 3 s, 0.5 to 15 kHz": DatasetSettings(
        sample_rate=48_000, duration=3.0, min_frequency=500.0, max_frequency=15_000.0
    ),
}

ALL_SIZES = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
