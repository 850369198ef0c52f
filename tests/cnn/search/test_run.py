from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.search.run import can_resume, first_points, rungs, search_space
from freqquest.cnn.tune_config import TuneConfig
from freqquest.storage import locate


def config(**settings):
    return TuneConfig(dataset_dir="unused", run_dir="unused", **settings)


def test_the_search_starts_from_the_preset_and_then_the_recipe():
    first, second = first_points(config())
    assert CnnConfig(**first) == PRESETS["default"]
    assert CnnConfig(**second) == PRESETS["reference"]
    assert first_points(config(preset="reference", seed=3)) == [{"seed": 3}]
    assert search_space(config(preset="reference")) == {}


def test_the_first_points_lie_in_a_narrowed_space():
    points = first_points(config(only=("num_filters=8", "network=residual")))
    assert {point["num_filters"] for point in points} == {8}
    assert {point["network"] for point in points} == {"residual"}


def test_trials_are_compared_after_a_quarter_and_then_three_times_as_many_epochs():
    assert rungs(40) == (10, 30)
    assert rungs(80) == (20, 60)
    assert rungs(2) == (1,)
    assert rungs(1) == (1,)


def test_only_a_search_with_a_saved_state_is_resumed(tmp_path):
    trials = tmp_path / "trials"
    assert not can_resume(locate(trials))
    trials.mkdir()
    (trials / "tuner.pkl").write_bytes(b"half")
    assert not can_resume(locate(trials))
    (trials / "experiment_state-2026-01-01_00-00-00.json").write_text("{}")
    assert can_resume(locate(trials))
