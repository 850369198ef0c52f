import pytest

from freqquest.cnn.config import CnnConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_blocks": 9}, "`num_blocks=9` must be from 1 to 6"),
        ({"dropout": 1.0}, "`dropout=1.0` must be at least 0 and below 1"),
        ({"batch_size": 0}, "`batch_size=0` must be above 0"),
        ({"mixup": -1.0}, "`mixup=-1.0` must be 0 or more"),
        ({"floor_db": -90.0}, "`floor_db=-90.0` must be at least -80.0"),
        ({"network": "deep"}, "`network=deep` must be one of: residual, plain"),
    ],
)
def test_invalid_settings_of_the_classifier_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CnnConfig(**settings)
