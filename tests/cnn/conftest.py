import numpy as np
import pytest

from freqquest.cnn.data import LabelledClips
from freqquest.dataset.manifest import Normalisation


def make_clips(num_recordings: int = 8, clips_per_recording: int = 4, num_copies: int = 0, folds: int = 0):
    """Two classes, one loud in some bands, the other in some frames; every other recording is of the other class."""
    rng = np.random.default_rng(0)
    num_clips = num_recordings * clips_per_recording
    recordings = np.repeat(np.arange(num_recordings), clips_per_recording)
    classes = recordings % 2
    spectrograms = rng.normal(-60, 3, (num_clips, 16, 20))
    spectrograms[classes == 0, ::4] += 30
    spectrograms[classes == 1, :, ::4] += 30
    rows = np.tile(np.arange(num_clips), 1 + num_copies)
    groups = recordings // 2 % folds + 1 if folds else recordings
    return LabelledClips(
        spectrograms=np.clip(spectrograms, -80, 0).astype(np.float16)[rows],
        class_indices=classes[rows],
        only_trains=np.arange(len(rows)) >= num_clips,
        clip_ids=np.array([f"clip{row}" for row in rows]),
        recordings=recordings[rows].astype(str),
        groups=groups[rows].astype(str),
        is_validation=(recordings >= num_recordings - 2)[rows] & (np.arange(len(rows)) < num_clips),
        paths=np.array(["nowhere.wav"] * len(rows)),
        classes=("tones", "clicks"),
        normalisation=Normalisation(
            mean=-45.0,
            standard_deviation=15.0,
            band_means=[-45.0] * 16,
            band_standard_deviations=[15.0] * 16,
        ),
    )


@pytest.fixture
def clips():
    return make_clips()
