import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.cnn.candidates import cnn_candidate
from freqquest.cnn.held_out_clips import write_held_out_clips
from freqquest.runs import layout
from freqquest.runs.clip_files import read_clips
from freqquest.runs.predictions import read_predictions
from freqquest.storage import locate
from tests.cnn.conftest import make_clips, make_clips_of_several_labels
from tests.cnn.search.conftest import make_outcome, make_outcome_of_several_labels

CLIP = ClipConfig(duration_s=1.0)


def test_the_chosen_trials_predictions_are_written_with_the_clips_behind_them(tmp_path, audio_dir):
    file = next(audio_dir.glob("*/*.wav"))
    clips = make_clips()
    clips.start_s[5], clips.end_s[5] = 1.0, 1.5
    clips = replace(clips, paths=np.array(["nowhere.wav"] * 5 + [str(file)] * 27))
    run = locate(tmp_path)
    best = make_outcome("best", np.arange(32) % 5 != 0)
    write_held_out_clips(cnn_candidate(best), clips, {"temperature": 1.0}, CLIP, run)
    predictions = read_predictions(run, has_several_labels=False)
    assert np.flatnonzero(predictions.are_wrong).tolist() == list(range(0, 32, 5))
    assert (predictions.labels == clips.labels).all()
    assert predictions.places["start_s"].tolist() == clips.start_s.tolist()
    by_row = {row["row"]: row for row in read_clips(run / layout.VALIDATION_CLIPS_NAME)}
    assert by_row.keys() == set(range(32))
    assert by_row[0]["sound"] is None  # there is no such file
    assert all(row["picture"] for row in by_row.values())
    sound, rate_hz = soundfile.read(io.BytesIO(by_row[5]["sound"]))
    assert len(sound) / rate_hz == pytest.approx(1, abs=0.1)
    assert np.abs(sound[: rate_hz // 3]).mean() > 10 * np.abs(sound[-rate_hz // 4 :]).mean()


def test_answers_of_several_labels_are_those_of_the_thresholds(tmp_path):
    clips = make_clips_of_several_labels()
    probabilities = np.random.default_rng(0).uniform(size=(32, 2))
    metrics = {
        "temperature": [1.0, 1.0],
        "by_class": {"tones": {"threshold": 0.25}, "clicks": {"threshold": 0.75}},
    }
    best = make_outcome_of_several_labels("best", probabilities)
    write_held_out_clips(cnn_candidate(best), clips, metrics, CLIP, locate(tmp_path))
    predictions = read_predictions(locate(tmp_path), has_several_labels=True)
    assert (predictions.answers == (probabilities >= [0.25, 0.75])).all()
    assert (predictions.labels == clips.labels).all()
