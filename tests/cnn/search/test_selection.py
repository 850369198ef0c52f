import numpy as np

from freqquest.cnn.search.selection import choose, importance
from tests.cnn.conftest import make_clips
from tests.cnn.search.conftest import make_outcome


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
