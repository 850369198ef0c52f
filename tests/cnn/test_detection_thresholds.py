import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.cnn.detection_thresholds import detection_thresholds, negative_inputs
from freqquest.cnn.scores import best_threshold
from freqquest.dataset.clip_inputs import Analysis
from tests.sizes import ALL_SIZES

PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9]])
LABELS = np.eye(2, dtype=bool)[[0, 0, 0, 1, 1, 1]]


def test_a_class_that_noise_resembles_gets_a_threshold_above_noise_if_its_clips_are_above_too():
    quiet, noise = np.full((4, 2), 0.05), np.tile([0.7, 0.05], (4, 1))
    assert detection_thresholds(PROBABILITIES, LABELS, quiet) == pytest.approx([0.45, 0.55])
    assert detection_thresholds(PROBABILITIES, LABELS, noise) == pytest.approx([0.75, 0.55])


def test_a_class_below_noise_is_detected_only_above_all_noise():
    noise = np.tile([0.96, 0.05], (20, 1))
    assert detection_thresholds(PROBABILITIES, LABELS, noise) == pytest.approx([0.98, 0.55])
    no_clips = LABELS & [True, False]
    assert detection_thresholds(PROBABILITIES, no_clips, noise)[1] == pytest.approx(0.525)


def test_without_negative_clips_they_are_the_thresholds_of_best_f1():
    thresholds = detection_thresholds(PROBABILITIES, LABELS, np.zeros((0, 2)))
    assert thresholds == [
        best_threshold(PROBABILITIES[:, index], LABELS[:, index]) for index in range(2)
    ]


@ALL_SIZES
def test_negative_clips_become_inputs_of_any_size(size):
    view = size.views["cnn"]
    spectrograms = negative_inputs(Analysis(size.clip, view)).spectrograms
    assert spectrograms.shape[1:] == (view.num_mels, view.num_frames)
    assert spectrograms.dtype == np.float16
    assert np.isfinite(spectrograms).all()


def test_long_clips_have_fewer_negatives():
    def count(duration_s):
        clip = ClipConfig(sample_rate_hz=1_000, duration_s=duration_s)
        return len(negative_inputs(Analysis(clip, CNN_VIEW)).spectrograms)

    assert count(4.0) == 81
    assert count(30.0) == 41
    assert count(90.0) == 21
