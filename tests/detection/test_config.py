import pytest

from freqquest.detection.config import DetectConfig


def make(**changed):
    return DetectConfig(**{"model": "m.keras", "audio_dir": "d", "output": "events.csv"} | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hop": 0.0}, r"`hop=0` must be from 0\.01 to 300 seconds"),
        ({"hop": 600.0}, "`hop=600` must be"),
        ({"output": "labels.txt"}, r"`output=labels\.txt` must end in \.csv or \.json, or be a"),
        ({"report": "in/half.wav"}, r"`report=in/half\.wav` must end in \.html"),
        ({"output": "a.html", "report": "a.html"}, r"`output=a\.html` must end in \.csv or"),
        ({"picture_dir": "events.csv"}, r"`output=events\.csv` must differ from `report` and"),
        ({"min_confidence": 2.0}, "`min_confidence=2` must be from 0 to 1"),
        ({"min_level": 3.0}, "`min_level=3` must be 0 dB, full scale, or less"),
        ({"min_contrast": -1.0}, "`min_contrast=-1` must be 0 or more"),
        ({"class_thresholds": True, "min_confidence": 0.5}, "exclude each other: leave out one"),
        ({"merge_gap": -0.1}, r"`merge_gap=-0\.1` must be 0 or more"),
        ({"min_duration": float("nan")}, "`min_duration=nan` must be 0 or more"),
        ({"piece_length": 0.0}, "`piece_length=0` must be above 0 seconds"),
        ({"format": "wav"}, "`format=wav` must be one of: csv, json, audacity, raven"),
        ({"format": "raven"}, r"`output=events\.csv` ends in \.csv, but `format=raven`.* a folder"),
        ({"format": "json"}, r"`output=events\.csv` ends in \.csv, but `format=json`"),
        ({"max_quarantined_fraction": 1.5}, "max_quarantined_fraction"),
    ],
)
def test_impossible_settings_are_refused_with_their_limit(changed, message):
    with pytest.raises(ValueError, match=message):
        make(**changed)


@pytest.mark.parametrize(
    ("output", "given", "kind", "is_folder"),
    [
        ("events.csv", None, "csv", False),
        ("EVENTS.JSON", None, "json", False),
        ("events", None, "csv", True),
        ("events", "json", "json", True),
        ("events/", "audacity", "audacity", True),
        ("s3://bucket/events", "raven", "raven", True),
    ],
)
def test_the_output_is_a_file_by_its_ending_else_a_folder(output, given, kind, is_folder):
    config = make(output=output, format=given)
    assert (config.event_format, config.writes_folder) == (kind, is_folder)


def test_every_path_is_checked_on_the_cluster():
    config = make(
        output="out/labels/", report="r/report.html", picture_dir="p", annotations="t.csv"
    )
    assert config.requirements.reads == {
        "model": "m.keras",
        "audio_dir": "d",
        "annotations": "t.csv",
    }
    assert config.requirements.writes == {"output": "out", "report": "r", "picture_dir": "p"}
