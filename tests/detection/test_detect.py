import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from freqquest.cnn.model_file import read_card
from freqquest.detection.config import DetectConfig
from freqquest.detection.detect import check_request, detect
from freqquest.detection.events import event_settings
from freqquest.detection.parts import mark_outputs, open_parts
from freqquest.detection.scan import Scan
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.detection.conftest import listen_here


@pytest.fixture
def make_config(tmp_path, model_file, recordings_dir):
    def make(**changed):
        settings = {
            "model": str(model_file),
            "audio_dir": str(recordings_dir),
            "output": str(tmp_path / "events.csv"),
            "min_confidence": 0.3,
        }
        return DetectConfig(**settings | changed)

    return make


def run(config):
    return detect(config, check_request(config))


@pytest.mark.slow
def test_events_are_the_same_whatever_the_pieces(local_ray, make_config, tmp_path, monkeypatch):
    run(make_config(output=str(tmp_path / "a.csv"), piece_length=60.0))  # by two workers
    listen_here(monkeypatch)
    run(make_config(output=str(tmp_path / "b.csv"), piece_length=3000.0))
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    events = pd.read_csv(tmp_path / "a.csv")
    assert set(events["path"]) == {"long.flac", "night/short.wav"}
    assert (events["end_s"] > events["start_s"]).all()
    assert not list(tmp_path.glob("*.parts")), "parts are removed at the end"


def test_annotations_report_and_pictures_come_with_the_events(
    local_ray, listening_here, make_config, tmp_path, monkeypatch
):
    truth = tmp_path / "truth.csv"
    rows = ["long.flac,3,8,low", "long.flac,14,19,high", "long.flac,25,30,unheard"]
    truth.write_text("path,start_s,end_s,label\n" + "\n".join(rows))
    config = make_config(
        output=str(tmp_path / "labels"),
        format="audacity",
        annotations=str(truth),
        report=str(tmp_path / "report.html"),
        picture_dir=str(tmp_path / "pictures"),
        max_reported=1,
        keep_parts=True,
    )
    detections = run(config)
    scores = json.loads((tmp_path / "labels.scores.json").read_text())
    assert scores["event_based"]["micro"]["num_annotated"] == 2
    assert scores["num_recordings"] == 1
    assert "unheard" in detections.summary
    assert "segment F1" in detections.summary
    assert (tmp_path / "labels" / "night" / "short.txt").exists()
    assert {file.name for file in (tmp_path / "pictures").rglob("*.png")} == {
        "long.png",
        "short.png",
    }
    page = (tmp_path / "report.html").read_text()
    assert "long.flac" in page
    assert "short.wav" not in page

    with monkeypatch.context() as patch:  # parts were kept: nothing is listened to again
        patch.setattr(Scan, "_listen", lambda scan, pieces: iter([1 / 0] if pieces else []))
        with pytest.raises(UserError, match="`output=.*labels` exists"):
            run(config)
        stricter = run(replace(config, overwrite=True, min_confidence=0.9, keep_parts=False))
    assert len(stricter.events) < len(detections.events)
    assert not (tmp_path / "labels.parts").exists()


def test_unreadable_recordings_are_listed_and_too_many_refused(local_ray, make_config, tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"no audio")
    config = make_config(audio_dir=str(tmp_path / "in"))
    with pytest.raises(UserError, match=r"2 of 2 recordings cannot be read, .*a\.wav \(not read"):
        run(config)
    assert not (tmp_path / "events.csv").exists()
    listed = pd.read_csv(tmp_path / "events.csv.unreadable.csv")
    assert listed["path"].str.endswith(("a.wav", "b.wav")).all()


@pytest.mark.parametrize("name", ["output", "report", "picture_dir"])
def test_nothing_that_exists_is_overwritten(make_config, tmp_path, name):
    taken = tmp_path / "mine"
    taken.mkdir()
    (taken / "notes.html").write_text("mine")
    path = str(taken / "notes.html" if name == "report" else taken)
    with pytest.raises(UserError, match=f"`{name}=.*mine.*` exists: choose another path, or pass"):
        check_request(make_config(**{name: path}))
    check_request(make_config(**{name: path, "overwrite": True}))


def test_outputs_of_an_unfinished_job_are_written_again(make_config, tmp_path):
    config = make_config(report=str(tmp_path / "report.html"))
    parts = open_parts(locate(config.output), {})
    mark_outputs(parts, list(config.outputs.values()))
    for path in config.outputs.values():
        Path(path).write_text("half of it")
    check_request(config)
    (tmp_path / "other.html").write_text("mine")
    with pytest.raises(UserError, match=r"`report=.*other\.html` exists"):
        check_request(make_config(report=str(tmp_path / "other.html")))


def test_a_single_recording_may_be_given(make_config, recordings_dir):
    request = check_request(make_config(audio_dir=str(recordings_dir / "night" / "short.wav")))
    assert [each.name for each in request.recordings] == ["short.wav"]


def test_a_folder_without_recordings_is_refused(make_config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty` has no audio files"):
        check_request(make_config(audio_dir=str(tmp_path / "empty")))


def test_annotations_of_other_recordings_are_refused_before_the_scan(
    local_ray, make_config, tmp_path
):
    (tmp_path / "truth.csv").write_text("path,start_s,end_s,label\nother.wav,1,2,low\n")
    config = make_config(annotations=str(tmp_path / "truth.csv"))
    with pytest.raises(UserError, match=r"truth\.csv"):
        run(config)
    assert not (tmp_path / "events.csv.parts").exists()


def test_thresholds_come_from_the_user_else_from_the_model(make_config, model_file):
    card, config = read_card(model_file), make_config()
    assert event_settings(config, card).thresholds.tolist() == [0.3] * 3
    config = make_config(min_confidence=None)
    assert event_settings(config, card).thresholds.tolist() == [0.5] * 3
    several = replace(card, thresholds=[0.1, 0.2, 0.3], temperature=[1.0] * 3)
    assert event_settings(config, several).thresholds.tolist() == [0.1, 0.2, 0.3]
    config = make_config(min_confidence=None, class_thresholds=True)
    with pytest.raises(UserError, match="`class_thresholds` needs a model that has some"):
        check_request(config)
    card = replace(card, detection_thresholds=[0.7, 0.8, 0.9], background_label="high")
    settings = event_settings(config, card)
    assert settings.thresholds.tolist() == [0.7, 0.8, 0.9]
    assert settings.labels == ["low", "middle", None]
