import pytest

from freqquest.cnn.tune_config import NUM_MEMBERS, TuneConfig


def config(**settings):
    return TuneConfig(dataset_dir="unused", run_dir="unused", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_trials": 0}, "`num_trials=0` must be 1 or more"),
        ({"num_folds": 1}, "`num_folds=1` must be 2 or more"),
        ({"seed": -1}, "`seed=-1` must be 0 or more"),
        ({"trials_per_gpu": 0}, "`trials_per_gpu=0` must be 1 or more"),
        ({"mixed_precision": True}, "`mixed_precision` needs `use_gpu`: on CPU cores it would"),
        ({"preset": "large"}, "`preset=large` must be one of: default, reference"),
        ({"num_members": -1}, "`num_members=-1` must be 0 or more"),
        (
            {"preset": "reference", "only": ("dropout=0.5",)},
            "`only` has no effect with `preset=reference`",
        ),
        (
            {"preset": "reference", "classifier": "fusion"},
            "`classifier=fusion` is not in the published recipe: leave it out, or use "
            "`preset=default`",
        ),
        (
            {"classifier": "embedding", "num_trials": 3},
            "`num_trials` has no effect with `classifier=embedding`, which trains no CNN",
        ),
        (
            {"start_from": "model.keras", "num_folds": 3},
            "`start_from` does not go with `num_folds`: the model has heard clips of each part; "
            "leave out one of the two",
        ),
        (
            {"start_from": "model.keras", "preset": "reference"},
            "`start_from` does not go with `preset=reference`: the recipe starts from nothing",
        ),
        (
            {"start_from": "model.keras", "classifier": "embedding"},
            "`start_from` does not go with `classifier=embedding`: it trains no CNN",
        ),
        (
            {"start_from": "model.keras", "audit_leakage": True},
            "`start_from` does not go with `audit_leakage`",
        ),
        ({"classifier": "svm"}, "`classifier=svm` must be one of: auto, cnn, embedding, fusion"),
    ],
)
def test_invalid_settings_of_the_search_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_the_reference_keeps_the_model_of_its_single_training():
    assert config(preset="reference").effective_num_members == 0
    assert config().effective_num_members == NUM_MEMBERS["default"]
    assert config(num_members=0).effective_num_members == 0
