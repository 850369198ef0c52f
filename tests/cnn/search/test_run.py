"""The search without Ray: its space, where it begins, when it compares, which trial wins."""

import dataclasses
from unittest.mock import MagicMock

import numpy as np
import pytest

from freqquest.cnn.config import NUM_MEMBERS, PRESETS, CnnConfig, TuneConfig
from freqquest.cnn.labeled_clips import SplitRows
from freqquest.cnn.search import space
from freqquest.cnn.search import trial as worker
from freqquest.cnn.search.run import (
    Outcome,
    can_resume,
    first_points,
    rungs,
    search_space,
    table,
)
from freqquest.cnn.search.selection import choose, importance
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import make_clips


def config(**settings):
    return TuneConfig(dataset_dir="unused", run_dir="unused", **settings)


def outcome(trial_id, right, params=None, state="finished"):
    """A trial that is right about these of 32 clips."""
    clips = make_clips()
    said = np.where(right, clips.class_indices, 1 - clips.class_indices)
    made = Outcome(
        trial_id=trial_id,
        params=dataclasses.asdict(CnnConfig()) | {"seed": 0} | (params or {}),
        state=state,
        score=float(np.mean(right)),
        fold_scores=[float(np.mean(right))],
        history=[{"validation/accuracy": float(np.mean(right)), "time": 1.0, "seconds": 2.0}],
        checkpoint=None,
    )
    made.__dict__["predictions"] = (np.arange(32), np.eye(2)[said])
    return made


def test_both_presets_lie_in_the_space():
    for preset in PRESETS.values():
        point = space.nearest(space.SPACE, preset)
        assert point == {
            name: value for name, value in dataclasses.asdict(preset).items() if name in point
        }


def test_the_space_varies_settings_that_exist_and_every_point_is_a_classifier():
    domains = space.as_domains(space.SPACE)
    for _ in range(20):
        assert CnnConfig(**{name: domain.sample() for name, domain in domains.items()})


def test_the_search_begins_with_the_preset_and_then_with_the_recipe():
    first, second = first_points(config())
    assert CnnConfig(**first) == PRESETS["default"]
    assert CnnConfig(**second) == PRESETS["reference"]
    assert first_points(config(preset="reference", seed=3)) == [{"seed": 3}]
    assert search_space(config(preset="reference")) == {}


def test_a_user_can_narrow_the_space():
    narrowed = space.narrow(
        ("num_filters=8", "network=residual,plain", "time_shift=true", "learning_rate=0.001")
    )
    assert narrowed["num_filters"] == space.Choice((8,))
    assert narrowed["network"] == space.Choice(("residual", "plain"))
    assert narrowed["time_shift"] == space.Choice((True,))
    points = first_points(config(only=("num_filters=8", "network=residual")))
    assert {point["num_filters"] for point in points} == {8}
    assert {point["network"] for point in points} == {"residual"}


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (
            "filters=8",
            "--only filters=8: filters is no setting of the classifier; settings: network, num_blocks",
        ),
        ("num_filters=many", "--only num_filters=many: 'many' is no int"),
        ("time_shift=perhaps", "'perhaps' is no bool"),
        ("network=transformer", "network='transformer' is none of residual, plain"),
        ("dropout=1.5", "dropout=1.5 must be from 0 to below 1"),
    ],
)
def test_narrowing_to_what_cannot_be_is_refused(only, message):
    with pytest.raises(UserError, match=message):
        search_space(config(only=(only,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_trials": 0}, "num_trials=0 must be 1 or more"),
        ({"num_folds": 1}, "num_folds=1 must be 2 or more"),
        ({"num_members": -1}, "num_members=-1 must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_the_reference_cannot_be_narrowed():
    with pytest.raises(ValueError, match="--only has nothing to narrow"):
        config(preset="reference", only=("dropout=0.5",))


def test_the_reference_keeps_what_its_one_training_gives():
    assert config(preset="reference").effective_num_members == 0
    assert config().effective_num_members == NUM_MEMBERS["default"]
    assert config(num_members=0).effective_num_members == 0


def test_trials_are_compared_after_a_quarter_and_then_thrice_as_many_epochs():
    assert rungs(40) == (10, 30)
    assert rungs(80) == (20, 60)
    assert rungs(2) == (1,)
    assert rungs(1) == (1,)


def test_a_search_without_a_state_begins_anew(tmp_path):
    trials = tmp_path / "trials"
    assert not can_resume(locate(trials))
    trials.mkdir()
    (trials / "tuner.pkl").write_bytes(b"half")
    assert not can_resume(locate(trials))
    (trials / "experiment_state-2026-01-01_00-00-00.json").write_text("{}")
    assert can_resume(locate(trials))


def test_the_first_trial_stays_unless_another_one_is_better_by_more_than_chance():
    clips = make_clips()  # eight recordings of four clips
    preset = outcome("preset", np.arange(32) % 4 != 0)
    one_recording_better = outcome("lucky", (np.arange(32) % 4 != 0) | (clips.recordings == "0"))
    every_recording_better = outcome("better", np.ones(32, bool))
    assert choose([preset, one_recording_better], clips).trial_id == "preset"
    assert (
        choose([preset, one_recording_better, every_recording_better], clips).trial_id == "better"
    )
    assert choose([preset], clips).trial_id == "preset"


def test_a_trial_that_diverged_or_crashed_never_wins():
    clips = make_clips()
    weak = outcome("weak", np.arange(32) % 2 == 0)
    for state in ("epoch 3: the loss is nan", "stopped early", "RuntimeError: out of memory"):
        failed = outcome("failed", np.ones(32, bool), state=state)
        assert choose([failed, weak], clips).trial_id == "weak"


def test_the_table_tells_of_every_trial_also_of_one_that_never_reported():
    crashed = dataclasses.replace(
        outcome("b", np.zeros(32, bool), state="RuntimeError: out of memory"), history=[]
    )
    rows = table([outcome("a", np.ones(32, bool)), crashed])
    assert rows["trial"].tolist() == ["a", "b"]
    assert rows["state"].tolist() == ["finished", "RuntimeError: out of memory"]
    assert rows["epochs"].tolist() == [1, 0]
    assert rows["learning_rate"].tolist() == [2e-3, 2e-3]


def test_a_part_that_ends_early_counts_at_the_rungs_that_it_skips(monkeypatch):
    told = []
    monkeypatch.setattr("freqquest.cnn.search.trial_logs.TrialLogs", MagicMock())
    monkeypatch.setattr(worker.tune, "get_context", MagicMock())
    monkeypatch.setattr(
        worker.tune,
        "report",
        lambda figures, checkpoint: told.append(
            (figures["epoch"], len(figures["history"]), figures["validation/score"])
        ),
    )
    task = MagicMock(rungs=(3, 9), max_epochs=4, num_epochs=12, parts=[None] * 3)
    diary = worker._TrialReporter(PRESETS["reference"], make_clips(), task)
    for num_epochs, accuracy in ((2, 0.5), (4, 0.7), (1, 0.9)):
        diary.begin(SplitRows(train=np.arange(1), validation=np.arange(1)))
        for _ in range(num_epochs):
            diary.after_epoch(np.zeros((1, 2)), {"validation/accuracy": accuracy})
        diary.end_part()
    assert [epoch for epoch, *_ in told] == [1, 2, 4, 5, 6, 7, 8, 9]
    # Where the scheduler may end the trial, the report holds its history.
    assert [length for _, length, _ in told] == [0, 0, 2, 0, 0, 0, 0, 7]
    assert told[2][2] == 0.5


def test_importance_finds_the_setting_that_matters_and_is_silent_about_too_few_trials():
    trials = [
        outcome(
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
