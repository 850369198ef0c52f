import dataclasses

import numpy as np
import pytest

from freqquest.cnn.candidates import cnn_candidate
from freqquest.cnn.search.selection import choose, draw, evaluate, importance
from freqquest.runs import layout
from tests.cnn.conftest import make_clips, make_clips_of_several_labels
from tests.cnn.search.conftest import make_outcome, make_outcome_of_several_labels


def test_the_first_trial_is_chosen_unless_another_one_is_better_by_more_than_chance():
    clips = make_clips()  # eight recordings of four clips
    preset = make_outcome("preset", np.arange(32) % 4 != 0)
    one_recording_better = make_outcome(
        "lucky", (np.arange(32) % 4 != 0) | (clips.recordings == "0")
    )
    every_recording_better = make_outcome("better", np.ones(32, bool))
    assert choose([preset, one_recording_better], clips).trial_id == "preset"
    assert (
        choose([preset, one_recording_better, every_recording_better], clips).trial_id == "better"
    )
    assert choose([preset], clips).trial_id == "preset"


def test_only_finished_trials_can_be_chosen():
    clips = make_clips()
    weak = make_outcome("weak", np.arange(32) % 2 == 0)
    for state in ("epoch 3: the loss is nan", "stopped early", "RuntimeError: out of memory"):
        failed = make_outcome("failed", np.ones(32, bool), state=state)
        assert choose([failed, weak], clips).trial_id == "weak"


def test_importance_finds_the_setting_that_matters_and_needs_enough_trials():
    trials = [
        make_outcome(
            str(number),
            np.arange(32) < 16 + 14 * (number % 2),
            {"mixup": number % 2 / 2, "num_masks": number // 2 % 3},
        )
        for number in range(12)
    ]
    shares = importance(trials)
    assert next(iter(shares)) == "mixup"
    assert shares["mixup"] > 0.8
    assert importance(trials[:4]) == {}


def test_a_search_over_several_labels_is_measured_by_mean_average_precision_and_thresholds():
    clips = make_clips_of_several_labels()
    rng = np.random.default_rng(0)
    good = np.clip(clips.labels * 0.3 + rng.uniform(0, 0.2, (32, 2)), 0, 1)
    preset = make_outcome_of_several_labels("preset", rng.uniform(size=(32, 2)))
    better = make_outcome_of_several_labels("better", good)
    assert choose([preset, better], clips) is better
    metrics = evaluate([preset, better], better, cnn_candidate(better), clips, "split")
    assert metrics["mean_average_precision"] == pytest.approx(1)
    assert metrics["mean_average_precision_by_fold"] == [better.score]
    assert "accuracy" not in metrics
    assert len(metrics["temperature"]) == 2
    for row in metrics["by_class"].values():
        assert row["average_precision"] == pytest.approx(1)
        assert (row["precision"], row["recall"]) == (1, 1)
    # Probabilities of labels are at most 0.5, so that 0.5 as the threshold would miss them all.
    calibrated = clips.score.apply_temperature(good, metrics["temperature"])
    thresholds = [metrics["by_class"][label]["threshold"] for label in clips.classes]
    np.testing.assert_array_equal(calibrated >= thresholds, clips.labels)
    assert max(thresholds) < 0.5
    error = metrics["calibration_error"]
    assert error["after"] < error["before"]
    pictures = draw([preset, better], cnn_candidate(better), clips, metrics)
    assert layout.CLASS_SCORES_NAME in pictures
    assert layout.CONFUSION_MATRIX_NAME not in pictures


def test_the_coverage_of_each_precision_is_reported_and_drawn_for_one_label_a_clip():
    clips = make_clips()
    is_right = np.arange(32) < 24
    trial = make_outcome("preset", is_right)
    rows, certain = trial.predictions
    shares = np.where(is_right, 0.9, 0.6)[:, None]  # sure where it is right
    trial.__dict__["predictions"] = rows, certain * shares + (1 - certain) * (1 - shares)
    metrics = evaluate([trial], trial, cnn_candidate(trial), clips, "split")
    assert metrics["coverage_at_precision"] == {
        "0.8": 0.75,
        "0.9": 0.75,
        "0.95": 0.75,
        "0.99": 0.75,
    }
    assert layout.COVERAGE_NAME in draw([trial], cnn_candidate(trial), clips, metrics)


def test_the_metrics_name_the_background_that_counts_as_a_class():
    clips = make_clips()
    trial = make_outcome("preset", np.ones(32, bool))
    assert "background_label" not in evaluate([trial], trial, cnn_candidate(trial), clips, "split")
    clips = dataclasses.replace(clips, background_label="tones")
    assert (
        evaluate([trial], trial, cnn_candidate(trial), clips, "split")["background_label"]
        == "tones"
    )
