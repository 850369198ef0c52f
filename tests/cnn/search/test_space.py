import dataclasses

import pytest

from freqquest.cnn.config import PRESETS
from freqquest.cnn.search.space import (
    SPACE,
    Choice,
    LogRange,
    as_domains,
    cnn_config_of,
    narrow,
    nearest,
)
from freqquest.errors import UserError


def test_both_presets_lie_in_the_space():
    for preset in PRESETS.values():
        point = nearest(SPACE, preset)
        assert point == {
            name: value for name, value in dataclasses.asdict(preset).items() if name in point
        }


def test_every_point_of_the_space_is_a_valid_configuration():
    domains = as_domains(SPACE)
    for _ in range(20):
        assert cnn_config_of({name: domain.sample() for name, domain in domains.items()})


def test_a_user_can_narrow_the_space():
    narrowed = narrow(
        ("num_filters=8", "network=residual,plain", "time_shift=true", "learning_rate=0.001")
    )
    assert narrowed["num_filters"] == Choice((8,))
    assert narrowed["network"] == Choice(("residual", "plain"))
    assert narrowed["time_shift"] == Choice((True,))


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (
            "filters=8",
            "`only=filters=8`: filters must be a setting of the classifier, one of: network, num_",
        ),
        ("num_filters=many", "`only=num_filters=many`: 'many' is not of type int"),
        ("time_shift=perhaps", "'perhaps' is not of type bool"),
        ("network=transformer", ": network=transformer must be one of: residual, plain"),
        ("dropout=1.5", "`only=dropout=1.5`: dropout=1.5 must be at least 0 and below 1"),
        ("band_shift=3", "band_shift=3 must be at least 0 and below 1: it is a share of the mel"),
    ],
)
def test_invalid_restrictions_are_refused(only, message):
    with pytest.raises(UserError, match=message) as refused:
        narrow((only,))
    assert refused.value.fields == ("only",)


def test_a_trials_seed_is_no_setting():
    assert (
        cnn_config_of(dataclasses.asdict(PRESETS["reference"]) | {"seed": 3})
        == (PRESETS["reference"])
    )


def test_a_trial_of_an_earlier_version_has_its_shift_in_128_bands():
    earlier = dataclasses.asdict(PRESETS["default"]) | {"band_shift": 6}
    assert cnn_config_of(earlier) == dataclasses.replace(PRESETS["default"], band_shift=6 / 128)


def test_weights_fix_the_settings_that_they_depend_on_and_limit_the_learning_rate():
    start = dataclasses.replace(
        PRESETS["default"], num_filters=40, learning_rate=6e-4, batch_size=128
    )
    space = narrow(("dropout=0.5", "num_filters=40"), start)
    assert space["num_filters"] == Choice((40,))
    assert space["normalization"] == Choice((start.normalization,))
    assert space["dropout"] == Choice((0.5,))
    assert space["learning_rate"] == LogRange(pytest.approx(2e-4), pytest.approx(1.8e-3))
    assert space["batch_size"] == Choice((128, 16, 32, 64))
    own = dataclasses.asdict(start)
    unlisted = nearest(space, start).items() - {("dropout", 0.5)}
    assert all(value == own[name] for name, value in unlisted)
    assert narrow(("learning_rate=0.01",), start)["learning_rate"] == Choice((0.01,))
    with pytest.raises(
        UserError, match="`only=num_filters=8,40`: the model of `start_from` has num_filters=40"
    ):
        narrow(("num_filters=8,40",), start)
