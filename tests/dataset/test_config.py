import pytest

from freqquest.dataset.config import PreprocessConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_fraction": 1.0}, "`validation_fraction=1.0` must be between 0 and 1"),
        ({"recording_pattern": "("}, r"`recording_pattern=\(` is not a regular expression"),
        (
            {"recording_pattern": "abc"},
            "`recording_pattern=abc` has 0 groups: it needs",
        ),
        ({"split": "recordings"}, "`split=recordings` must be one of: recording, random"),
        (
            {"augmentations": ("pitch", "foo")},
            "`augmentations=foo` must be one of: pitch, speed, gain, shift, noise",
        ),
        ({"clips_per_shard": 0}, "`clips_per_shard=0` must be 1 or more"),
        ({"seed": -1}, "`seed=-1` must be from 0 to"),
        (
            {"num_augmented_copies": 1, "augmentations": ()},
            "`num_augmented_copies=1` needs at least one of `augmentations`",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PreprocessConfig(audio_dir="unused", dataset_dir="unused", **settings)


def test_clips_are_required_unless_the_dataset_is_only_verified():
    with pytest.raises(ValueError, match="`audio_dir` is missing: .* unless `verify=True`"):
        PreprocessConfig(dataset_dir="unused")
    assert PreprocessConfig(dataset_dir="unused", verify=True).audio_dir is None
