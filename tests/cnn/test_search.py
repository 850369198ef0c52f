from freqquest.cnn.config import PRESETS, CnnConfig, TuneConfig
from freqquest.cnn.search import _first_point, _network, search_space


def config(preset):
    return TuneConfig(dataset_dir="unused", run_dir="unused", preset=preset, seed=3)


def resolved(preset):
    """The first trial's parameters."""
    return search_space(config(preset)) | _first_point(config(preset))


def test_the_first_trial_is_the_preset_itself():
    for preset in ("reference", "default"):
        assert _network(resolved(preset)) == PRESETS[preset]
        assert resolved(preset)["seed"] == 3


def test_further_trials_of_the_reference_change_only_the_seed():
    space = search_space(config("reference"))
    assert [name for name, value in space.items() if hasattr(value, "sample")] == ["seed"]


def test_every_point_of_the_space_is_a_network():
    space = search_space(config("default"))
    for _ in range(20):
        point = {name: value.sample() if hasattr(value, "sample") else value for name, value in space.items()}
        assert isinstance(_network(point), CnnConfig)
