import numpy as np

from freqquest.cnn.leakage_audit import RANDOM, RECORDING, audit_report, audit_splits
from tests.cnn.conftest import make_clips, make_clips_of_several_labels


def test_both_splits_hold_out_as_many_clips_and_only_one_shares_recordings():
    clips = make_clips()
    splits = audit_splits(clips, seed=0)
    by_recording, random = splits[RECORDING], splits[RANDOM]
    assert not set(clips.recordings[by_recording.train]) & set(
        clips.recordings[by_recording.validation]
    )
    assert set(clips.recordings[random.train]) & set(clips.recordings[random.validation])
    assert len(random.validation) == len(by_recording.validation)


def test_the_report_compares_both_accuracies():
    clips = make_clips()
    splits = audit_splits(clips, seed=0)
    by_recording, random = splits[RECORDING], splits[RANDOM]
    correct = np.eye(2)[clips.class_indices]
    predictions = {
        RANDOM: correct[random.validation],
        RECORDING: 1 - correct[by_recording.validation],
    }
    report = audit_report(clips, splits, predictions)
    assert (report["random_split_accuracy"], report["recording_split_accuracy"]) == (1.0, 0.0)
    assert report["difference"] == 1.0
    assert "scores 1.000 on a random split" in report["sentence"]
    assert "and 0.000 on unseen recordings" in report["sentence"]
    assert report["sentence"].endswith("the first includes memorized recordings.")
    predictions[RECORDING] = correct[by_recording.validation]
    sentence = audit_report(clips, splits, predictions)["sentence"]
    assert "memorized recordings made no difference" in sentence
    sentence = audit_report(clips, splits, predictions | {RANDOM: None})["sentence"]
    assert "not possible, because a training diverged" in sentence


def test_recordings_are_split_anew_if_the_dataset_was_split_at_random():
    clips = make_clips(num_recordings=12)
    clips.is_validation[:] = np.arange(48) % 4 == 0
    by_recording = audit_splits(clips, seed=0)[RECORDING]
    assert not set(clips.recordings[by_recording.train]) & set(
        clips.recordings[by_recording.validation]
    )


def test_without_known_recordings_there_is_no_audit():
    clips = make_clips(num_recordings=8, clips_per_recording=1)
    assert audit_splits(clips, seed=0) == {}
    assert "not possible" in audit_report(clips, {}, {})["sentence"]


def test_several_labels_are_audited_by_their_mean_average_precision():
    clips = make_clips_of_several_labels(num_recordings=12)
    splits = audit_splits(clips, seed=0)
    by_recording, random = splits[RECORDING], splits[RANDOM]
    assert len(random.validation) == len(by_recording.validation)
    shares = clips.labels[random.validation].mean(axis=0)
    np.testing.assert_allclose(shares, clips.labels.mean(axis=0), atol=0.15)
    predictions = {
        RANDOM: clips.labels[random.validation].astype(float),
        RECORDING: 1.0 - clips.labels[by_recording.validation],
    }
    report = audit_report(clips, splits, predictions)
    assert report["random_split_mean_average_precision"] == 1
    assert report["recording_split_mean_average_precision"] < 1
    assert "reaches a mean average precision of 1.000 on a random split" in report["sentence"]
