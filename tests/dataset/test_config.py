import re

import pytest

from freqquest.dataset.config import DatasetSettings, PreprocessConfig


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


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"window_hop": 1.0}, "`window_hop` needs `windows=all` or `windows=loudest`"),
        ({"max_windows_per_file": 3}, "`max_windows_per_file` needs `windows=all`"),
        ({"windows": "all", "window_hop": 0.001}, "`window_hop=0.001` must be from 0.01 to 600"),
        (
            {"windows": "loudest", "window_hop": 5.0},
            "`window_hop=5` must be at most `duration=4` with `windows=loudest`",
        ),
        ({"windows": "last"}, "`windows=last` must be one of: first, all, loudest"),
        ({"label_column": "x"}, "`label_column` needs `metadata` or `annotations`"),
        ({"label_separator": ","}, "`label_separator` needs `metadata` or `annotations`"),
        ({"metadata": "a.csv", "annotations": "b.csv"}, "`annotations` both list the clips"),
    ],
)
def test_windows_and_tables_that_do_not_fit_are_refused(settings, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        DatasetSettings(**settings)


def test_a_shard_has_as_many_bytes_whatever_the_clips():
    assert DatasetSettings().effective_clips_per_shard == 64
    assert DatasetSettings(duration=1.0).effective_clips_per_shard > 256
    assert DatasetSettings(duration=600.0).effective_clips_per_shard == 1
    assert DatasetSettings(clips_per_shard=5, duration=1.0).effective_clips_per_shard == 5
