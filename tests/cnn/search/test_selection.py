import numpy as np
import pytest

from freqquest.cnn.calibration import calibration_error, fit_temperature, reliability_bins, soften
from freqquest.cnn.leakage_audit import RANDOM, RECORDING, audit_parts, audit_report
from freqquest.cnn.search.trial_logs import worst_mistakes
from tests.cnn.conftest import make_clips


def unsure(num_clips=4000, temperature=2.0):
    """Probabilities of two classes that are right as often as they say, then made too sure or too unsure."""
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, num_clips)
    truth = (rng.random(num_clips) < honest).astype(int)
    return soften(np.stack([1 - honest, honest], axis=1), temperature), truth


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_undoes_what_made_a_model_too_sure_or_unsure(temperature):
    probabilities, truth = unsure(temperature=temperature)
    found = fit_temperature(probabilities, truth)
    assert found == pytest.approx(1 / temperature, rel=0.1)
    before, after = (
        calibration_error(p, truth) for p in (probabilities, soften(probabilities, found))
    )
    assert after < 0.02 < before


def test_a_few_clips_all_right_do_not_make_a_model_certain():
    probabilities = np.array([[0.6, 0.4], [0.55, 0.45], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([0, 0, 1, 1])
    certain = soften(probabilities, fit_temperature(probabilities, truth))
    assert certain.max() < 0.98


def test_reliability_has_a_point_for_each_bin_with_clips():
    confidence, accuracy, counts = reliability_bins(
        np.array([[0.95, 0.05], [0.93, 0.07], [0.4, 0.6]]), np.array([0, 1, 1])
    )
    np.testing.assert_allclose(confidence, [0.6, 0.94])
    np.testing.assert_allclose(accuracy, [1.0, 0.5])
    assert counts.tolist() == [1, 2]


def test_the_worst_mistake_is_the_surest_one():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert worst_mistakes(np.array([1, 1, 1]), probabilities).tolist() == [0, 1]


def test_the_audit_holds_out_as_many_clips_in_both_splits():
    clips = make_clips()
    parts = audit_parts(clips, seed=0)
    by_recording, random = parts[RECORDING], parts[RANDOM]
    assert not set(clips.recordings[by_recording.train]) & set(
        clips.recordings[by_recording.validation]
    )
    assert set(clips.recordings[random.train]) & set(clips.recordings[random.validation])
    assert len(random.validation) == len(by_recording.validation)
    right = np.eye(2)[clips.class_indices]
    predictions = {RANDOM: right[random.validation], RECORDING: 1 - right[by_recording.validation]}
    report = audit_report(clips, parts, predictions)
    assert (report["random_split_accuracy"], report["recording_split_accuracy"]) == (1.0, 0.0)
    assert report["difference"] == 1.0
    assert "scores 1.000 where clips of one recording are in both" in report["sentence"]
    assert "and 0.000 on recordings it never heard" in report["sentence"]
    assert report["sentence"].endswith("the first counts remembering as hearing.")
    predictions[RECORDING] = right[by_recording.validation]
    assert (
        "nothing was gained by remembering" in audit_report(clips, parts, predictions)["sentence"]
    )
    assert "not possible" in audit_report(clips, parts, predictions | {RANDOM: None})["sentence"]


def test_the_audit_makes_its_own_split_where_the_dataset_s_is_random():
    clips = make_clips(num_recordings=12)
    clips.is_validation[:] = np.arange(48) % 4 == 0
    by_recording = audit_parts(clips, seed=0)[RECORDING]
    assert not set(clips.recordings[by_recording.train]) & set(
        clips.recordings[by_recording.validation]
    )


def test_the_audit_says_so_where_recordings_are_not_known():
    clips = make_clips(num_recordings=8, clips_per_recording=1)
    assert audit_parts(clips, seed=0) == {}
    assert "not possible" in audit_report(clips, {}, {})["sentence"]
