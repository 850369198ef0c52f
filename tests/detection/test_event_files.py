import json

import pandas as pd
import pytest

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.dataset.annotation_files import read_annotation_file
from freqquest.detection.event_files import file_names, frequency_range, write_events
from freqquest.detection.events import EVENT_COLUMNS
from freqquest.storage import locate

EVENTS = pd.DataFrame(
    [
        ("a.wav", 1.23456, 3.0, "dog bark", 0.912345),
        ("a.wav", 2.5, 10.0, "=siren", 0.5),
        ("sub/b.wav", 0.0, 4.0, 'tab\t"here"', 1.0),
    ],
    columns=EVENT_COLUMNS,
)
DURATIONS_S = {"a.wav": 20.0, "sub/b.wav": 4.0, "silent.flac": 7.0}


def write(output, kind, *, is_folder):
    write_events(EVENTS, DURATIONS_S, locate(output), kind, (20.0, 8000.0), is_folder=is_folder)


def test_one_csv_has_the_events_of_all_recordings(tmp_path):
    write(tmp_path / "events.csv", "csv", is_folder=False)
    lines = (tmp_path / "events.csv").read_text().splitlines()
    assert lines[0] == "path,start_s,end_s,label,confidence"
    assert lines[1] == "a.wav,1.235,3.0,dog bark,0.9123"
    assert lines[2] == "a.wav,2.5,10.0,'=siren,0.5"  # no formula for a spreadsheet
    assert len(lines) == 4


def test_json_lists_recordings_without_events_too(tmp_path):
    write(tmp_path / "events.json", "json", is_folder=False)
    recordings = json.loads((tmp_path / "events.json").read_text())["recordings"]
    assert [(each["path"], len(each["events"])) for each in recordings] == [
        ("a.wav", 2),
        ("sub/b.wav", 1),
        ("silent.flac", 0),
    ]
    assert recordings[0]["duration_s"] == 20.0
    assert recordings[0]["events"][0] == {
        "start_s": 1.235,
        "end_s": 3.0,
        "label": "dog bark",
        "confidence": 0.9123,
    }


@pytest.mark.parametrize(
    ("kind", "name", "described"),
    [
        ("audacity", "a.txt", "Audacity label files"),
        ("raven", "a.Table.1.selections.txt", "Raven selection tables"),
        ("csv", "a.csv", "CSV files"),
    ],
)
def test_a_file_for_each_recording_is_read_again_as_annotations(tmp_path, kind, name, described):
    write(tmp_path, kind, is_folder=True)
    rows, found, _ = read_annotation_file(locate(tmp_path / name), name, {})
    assert found == described
    assert rows["start_s"].tolist() == [1.235, 2.5]
    assert rows["end_s"].tolist() == [3.0, 10.0]
    assert rows["label"].tolist()[0] == "dog bark"
    assert (tmp_path / name.replace("a.", "silent.", 1)).exists()
    assert (tmp_path / "sub" / name.replace("a.", "b.", 1)).exists()


def test_labels_stay_in_one_cell_of_tab_separated_files(tmp_path):
    write(tmp_path, "audacity", is_folder=True)
    assert (tmp_path / "sub" / "b.txt").read_text() == '0.0\t4.0\ttab "here"\n'


def test_ravens_selections_span_the_models_frequencies(tmp_path):
    write(tmp_path, "raven", is_folder=True)
    table = pd.read_csv(tmp_path / "a.Table.1.selections.txt", sep="\t")
    assert table["Low Freq (Hz)"].tolist() == [20.0, 20.0]
    assert table["High Freq (Hz)"].tolist() == [8000.0, 8000.0]
    assert table["Selection"].tolist() == [1, 2]


def test_recordings_that_differ_in_their_endings_only_keep_them():
    names = file_names(["a.wav", "b.wav", "b.flac", "x.y/c.wav"], ".txt")
    assert names == {
        "a.wav": "a.txt",
        "b.wav": "b.wav.txt",
        "b.flac": "b.flac.txt",
        "x.y/c.wav": "x.y/c.txt",
    }
    names = file_names(["x.wav", "x.mp3", "x.wav.flac"], ".txt")
    assert sorted(names.values()) == ["x.mp3.txt", "x.wav.flac.txt", "x.wav.txt"]


def test_a_csv_that_was_made_safe_for_spreadsheets_is_read_as_it_was(tmp_path):
    write(tmp_path / "events.csv", "csv", is_folder=False)
    rows, _, _ = read_annotation_file(locate(tmp_path / "events.csv"), "events.csv", {})
    assert rows["label"].tolist()[1] == "=siren"


def test_the_range_ends_at_half_the_sample_rate_unless_the_view_says_so():
    assert frequency_range(SpectrogramConfig(), 16_000) == (0.0, 8_000)
    view = SpectrogramConfig(min_frequency_hz=500.0, max_frequency_hz=4_000.0)
    assert frequency_range(view, 16_000) == (500.0, 4_000.0)
